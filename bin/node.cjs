// Runs one of the repository's own scripts with the pinned Node: node bin/node.cjs scripts/check.ts
'use strict';
const { launch } = require('./launch.cjs');

const [script, ...args] = process.argv.slice(2);
launch(script, args);
