import type { Caller } from '../identity/types.ts';

/** One HTTP request and its reply, as the surfaces see them. The server binds it to a socket. */
export interface Exchange {
  /** A request header by its lower-case name; null when absent. */
  header(name: string): string | null;
  /** The body as received, after transfer decoding. */
  readonly body: Buffer;
  readonly caller: Caller;
  readonly reply: Reply;
}

export interface Reply {
  /** True once the head was handed over. */
  begun(): boolean;
  head(status: number, headers: Readonly<Record<string, string>>): void;
  /** False when the client reads slower than we write: wait for `onDrain`. */
  write(bytes: Uint8Array): boolean;
  end(bytes?: Uint8Array): void;
  onDrain(resume: () => void): void;
  /** Called once when the client goes away before the reply has ended, at once when it already went. */
  onGone(gone: () => void): void;
  /** Ends the connection without the reply's normal end. */
  cut(): void;
}
