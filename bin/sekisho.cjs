#!/usr/bin/env node
'use strict';
const { existsSync } = require('node:fs');
const path = require('node:path');
const { launch } = require('./launch.cjs');

// A clone runs its sources as they are; the published package, which has none, runs the compiled ones.
const source = path.join(__dirname, '..', 'src', 'cli', 'main.ts');
const compiled = path.join(__dirname, '..', 'dist', 'cli', 'main.js');
// Young objects get 16 MiB instead of what V8 would take, and the C library two arenas instead of eight a core: a site
// under load then stays resident in some 30 to 50 MiB less, for no CPU that could be measured.
const LEAN = { options: ['--max-semi-space-size=16'], env: { MALLOC_ARENA_MAX: '2' } };
launch(existsSync(source) ? source : compiled, process.argv.slice(2), LEAN);
