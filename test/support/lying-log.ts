import type { ServerResponse } from 'node:http';
import { tilePath, tileWidth } from '../../src/ledger/tile-path.ts';
import { encodeBundle } from '../../src/ledger/segment.ts';
import { leafHash, TILE_WIDTH, TreeEdge, type TileNodes, type TreeHash } from '../../src/ledger/tree.ts';
import type { RemoteLog } from '../../src/ledger/monitor/remote-log.ts';
import { httpSide, type FarSide } from './far-side.ts';
import { signedLog } from './signed-log.ts';

/** A log that shows whatever history it is told to, each of them whole, signed and with all its tiles. */
export interface LyingLog extends RemoteLog {
  readonly origin: string;
  readonly vkey: string;
  /** From now on this is the log. */
  show(entries: readonly Buffer[]): void;
  /** Answers for a path in place of what is shown; null is not there. */
  plant(path: string | RegExp, answer: Answer): void;
  /** Ends what was planted. */
  confess(): void;
  /** A signed note over the entries shown, or over another text. */
  note(text?: string): string;
}

type Answer = Buffer | string | null | (() => Buffer);

export function lyingLog(origin = 'localhost/liar/0badcafe'): LyingLog {
  const signer = signedLog(origin);
  let files = new Map<string, Buffer>();
  let head = '';
  let plants: { path: string | RegExp; answer: Answer }[] = [];
  const log: LyingLog = {
    origin,
    vkey: signer.vkey,
    show(entries) {
      const shown = filesOf(entries);
      files = shown.files;
      head = `${origin}\n${entries.length}\n${Buffer.from(shown.root, 'latin1').toString('base64')}\n`;
      files.set('checkpoint', Buffer.from(signer.note(head)));
    },
    plant: (path, answer) => void plants.push({ path, answer }),
    confess: () => void (plants = []),
    note: (text = head) => signer.note(text),
    async read(path, limit) {
      const planted = plants.find((one) =>
        typeof one.path === 'string' ? one.path === path : one.path.test(path),
      );
      const bytes = planted === undefined ? (files.get(path) ?? null) : bytesOf(planted.answer);
      return bytes?.subarray(0, limit + 1) ?? null;
    },
  };
  log.show([]);
  return log;
}

/** Serves logs as a site does, below `/ledger/<8 hex digits>`; `listed` are those that the list names. */
export function serveLogs(
  logs: Readonly<Record<string, LyingLog>>,
  options: { listed?: readonly string[]; stray?: (path: string, reply: ServerResponse) => boolean } = {},
): Promise<FarSide> {
  const listed = options.listed ?? Object.keys(logs);
  return httpSide((asked, reply) => {
    void (async () => {
      const url = asked.url ?? '';
      if (options.stray?.(url, reply) === true) return;
      const [, id = '', path = ''] = /^\/ledger\/([0-9a-f]{8})\/(.+)$/.exec(url) ?? [];
      const bytes = url === '/ledger' ? listing(logs, listed) : await logs[id]?.read(path, 1 << 30);
      reply.writeHead(bytes == null ? 404 : 200).end(bytes ?? 'nothing here');
    })();
  });
}

function listing(logs: Readonly<Record<string, LyingLog>>, listed: readonly string[]): Buffer {
  const rows = listed.map((id) => ({ origin: logs[id]?.origin, vkey: logs[id]?.vkey, url: `/ledger/${id}` }));
  return Buffer.from(JSON.stringify({ logs: rows }));
}

function bytesOf(answer: Answer): Buffer | null {
  if (typeof answer === 'function') return answer();
  return typeof answer === 'string' ? Buffer.from(answer) : answer;
}

function filesOf(entries: readonly Buffer[]): { root: TreeHash; files: Map<string, Buffer> } {
  const files = new Map<string, Buffer>();
  const put = (level: number, number: number, tile: TileNodes): void =>
    void files.set(tilePath({ level, number, width: tile.width }), tile.hashes(tile.width));
  const edge = new TreeEdge(put);
  for (const entry of entries) edge.append(leafHash(entry));
  for (let level = 0; TILE_WIDTH ** level <= entries.length; level++) {
    const tile = edge.partial(level);
    if (tile !== null) put(level, Math.floor(entries.length / TILE_WIDTH ** (level + 1)), tile);
  }
  for (let number = 0; number * TILE_WIDTH < entries.length; number++) {
    const width = tileWidth('entries', number, entries.length);
    const bundle = entries.slice(number * TILE_WIDTH, number * TILE_WIDTH + width);
    files.set(tilePath({ level: 'entries', number, width }), encodeBundle(bundle));
  }
  return { root: edge.root(), files };
}
