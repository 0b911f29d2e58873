import type { Reply } from './world/client.ts';

/** A sentence in both languages. */
export interface Text {
  readonly ja: string;
  readonly en: string;
}

/** A provider as the suite wants it: where it is, and what its record says. */
export interface SceneProvider {
  readonly id: string;
  /** Null leaves it out. */
  readonly url: string | null;
  readonly country: string;
  /** Members of the residency record that differ from those of a good domestic one; undefined leaves one out. */
  readonly record?: Readonly<Record<string, unknown>>;
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
  readonly pins?: readonly string[];
}

/** What a gateway is started with for some of the cases. */
export interface Scene {
  readonly id: string;
  readonly providers: readonly SceneProvider[];
  /** Callers' names of models, each with the providers that serve it, in order. */
  readonly models: Readonly<Record<string, readonly string[]>>;
  readonly posture?: 'private' | 'disconnected';
  /** Added to the environment of the gateway's process. */
  readonly env?: Readonly<Record<string, string>>;
  /** `address:port` of the name server to ask. */
  readonly resolver: string;
  /** PEM of the authority to trust for providers. */
  readonly ca: string;
}

/** A gateway that runs. */
export interface Gateway extends AsyncDisposable {
  readonly url: string;
  /** What a caller must send. */
  readonly headers: Readonly<Record<string, string>>;
  /** Its errors name their reason and its log can be asked; false for other products. */
  readonly reasons: boolean;
  /** What it printed. */
  output(): string;
  /** Below which everything it writes lies; null when the suite cannot know. */
  readonly folder: string | null;
  metrics(): Promise<string>;
  /** Puts another scene in force, signed by those who may, or by a stranger. */
  apply(scene: Scene, by: 'signer' | 'stranger'): Promise<Reply>;
}

/** A kind of gateway that the suite can test. */
export interface Target {
  readonly name: string;
  /** True when the suite configures and starts it; false for one that runs elsewhere already. */
  readonly configurable: boolean;
  /** @throws Fault `leaktest.refused_start` with what the gateway said. */
  open(scene: Scene): Promise<Gateway>;
}

/** `leak`: something arrived or was kept where it must not; `reason`: stopped, but without saying why. */
export interface Finding {
  readonly kind: 'leak' | 'reason';
  readonly text: string;
}
