#!/usr/bin/env node
'use strict';
const { existsSync } = require('node:fs');
const path = require('node:path');
const { launch } = require('./launch.cjs');

// A clone runs its sources as they are; the published package, which has none, runs the compiled ones.
const source = path.join(__dirname, '..', 'src', 'cli', 'main.ts');
const compiled = path.join(__dirname, '..', 'dist', 'cli', 'main.js');
launch(existsSync(source) ? source : compiled, process.argv.slice(2));
