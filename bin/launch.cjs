// Starts the pinned Node, which arrives as a locked dependency, by its path. This file runs on any Node since 18.
'use strict';
const { spawn } = require('node:child_process');
const { existsSync } = require('node:fs');
const { constants } = require('node:os');
const path = require('node:path');

const MINIMUM_MAJOR = 26;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'];

function pinnedNode() {
  for (const name of [
    `node-${process.platform}-${process.arch}`,
    `node-bin-${process.platform}-${process.arch}`,
  ]) {
    try {
      const folder = path.dirname(require.resolve(`${name}/package.json`, { paths: [__dirname] }));
      const program = path.join(folder, 'bin', 'node');
      if (existsSync(program)) return program;
    } catch {
      // Not installed for this platform: the next name, or the running Node, may do.
    }
  }
  if (Number(process.versions.node.split('.')[0]) >= MINIMUM_MAJOR) return process.execPath;
  process.stderr.write(
    `sekisho: no Node for ${process.platform}-${process.arch} was installed, and this one is ${process.version}.\n` +
      `Run "npm ci" without --omit=optional, or use Node ${MINIMUM_MAJOR} or newer.\n`,
  );
  return null;
}

/**
 * Runs `script` with `args`; passes signals on; ends as the child ends. `lean` are options of Node and variables of the
 * environment that keep memory small; a variable that is set already stays.
 */
exports.launch = function launch(script, args, lean = { options: [], env: {} }) {
  const program = pinnedNode();
  if (program === null) {
    process.exitCode = 2;
    return;
  }
  // The channel closes when this launcher dies, even by SIGKILL, so that no site outlives it unseen.
  const child = spawn(program, [...lean.options, script, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...lean.env, ...process.env, SEKISHO_LAUNCHER: '1' },
  });
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`sekisho: cannot start ${program}: ${error.message}\n`);
    process.exitCode = 2;
  });
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0));
  });
};
