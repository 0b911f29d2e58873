import { existsSync } from 'node:fs';
import path from 'node:path';
import { defaultConfig, loadConfig, type Config } from '../core/config.ts';
import type { Env } from '../core/env.ts';

/** What a start goes by: flags before environment before defaults. */
export interface Start {
  readonly config: Config;
  /** What outranks the file, on every later reading of it too. */
  readonly env: Env;
  /** Absolute. */
  readonly dataDir: string;
}

export interface StartFlags {
  readonly config?: string | undefined;
  readonly data?: string | undefined;
  readonly host?: string | undefined;
  readonly port?: number | undefined;
}

const DEFAULT_CONFIG = 'sekisho.yaml';

/** @throws Fault `core.config` naming what is wrong in the file. */
export function resolveConfig(env: Env, flags: StartFlags): Start {
  const named = flags.config ?? env.config;
  const file = named ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : null);
  const override = { ...env, host: flags.host ?? env.host, port: flags.port ?? env.port };
  const config = file === null ? defaultConfig(override) : loadConfig(file, override);
  return { config, env: override, dataDir: path.resolve(flags.data ?? env.data ?? 'data') };
}

/** The user's state directory, where the anchor lies unless the configuration names another place. */
export function defaultAnchorDir(env: Env): string | null {
  if (env.stateHome !== null) return path.join(env.stateHome, 'sekisho', 'anchor');
  return env.home === null ? null : path.join(env.home, '.local', 'state', 'sekisho', 'anchor');
}

/** Where models are kept by digest, shared by every data directory of the user. */
export function modelsDir(env: Env, dataDir: string): string {
  if (env.models !== null) return path.resolve(env.models);
  if (env.cacheHome !== null) return path.join(env.cacheHome, 'sekisho', 'models');
  return env.home === null
    ? path.join(dataDir, 'models')
    : path.join(env.home, '.cache', 'sekisho', 'models');
}
