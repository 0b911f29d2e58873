import { commonScene, namedScene, plainProvider, scene } from '../scenes.ts';
import type { Stage } from '../stage.ts';
import type { Case } from '../case.ts';
import type { Scene } from '../types.ts';
import type { LeakWorld } from '../world/world.ts';

/** Ways out through names and addresses. */
export const NAMES: readonly Case[] = [
  {
    id: 'rebinding',
    number: 2,
    version: '2026-11-27',
    configures: true,
    title: { ja: 'DNS の再束縛', en: 'DNS rebinding between check and connection' },
    why: {
      ja: '名前を調べてから接続すると、その間に答えが変わる。',
      en: 'A name that is checked and then connected is asked twice, and the second answer may differ.',
    },
    source: 'measured: resolve, check, fetch reached the second address',
    how: {
      ja: '名前の答えが国内、次に国外、有効期間0秒。接続は毎回閉じる。',
      en: 'The name answers home first and abroad from then on, with time to live 0; connections close after each answer.',
    },
    check: {
      ja: '国外に接続がない。address で拒否し記録する。',
      en: 'Nothing connects abroad; refused as address, with a leaf.',
    },
    run: rebinding,
  },
  {
    id: 'literal',
    number: 3,
    version: '2026-11-27',
    configures: true,
    title: { ja: '番地の変わった書き方', en: 'addresses in odd spellings' },
    why: {
      ja: '2130706434 や全角数字も URL としては番地であり、名前の検査を通らない。',
      en: '2130706434, 127.1 and full-width digits are addresses to the URL parser, and no look-up is made for them.',
    },
    source: 'WHATWG URL standard, host parsing',
    how: {
      ja: '記録にない番地を七つの書き方で設定し、起動して送る。',
      en: 'A record is configured with a foreign address in seven spellings; then a start and a request.',
    },
    check: {
      ja: '起動を拒むか接続しない。理由を示す。',
      en: 'The start is refused, or nothing connects; the reason is named.',
    },
    run: literals,
  },
  {
    id: 'other-family',
    number: 4,
    version: '2026-11-27',
    configures: true,
    title: { ja: 'IPv6 と埋め込まれた IPv4', en: 'IPv6 and IPv4 inside it' },
    why: {
      ja: '番地の禁止一覧は NAT64、6to4、埋め込みを見落とす。',
      en: 'Block lists of addresses miss NAT64, 6to4 and mapped forms, and a race of families picks the fastest.',
    },
    source: 'measured with net.BlockList of Node 26; RFC 6052, RFC 3056, RFC 4291 section 2.5.5.2',
    how: {
      ja: 'A は国内、AAAA は国外（::1、埋め込み、NAT64、6to4）。次に AAAA だけ。',
      en: 'A answers home, AAAA abroad as ::1, mapped, NAT64 and 6to4; then AAAA alone.',
    },
    check: {
      ja: '国外に接続がない。',
      en: 'Nothing connects abroad; refused as address when nothing else is left.',
    },
    run: otherFamily,
  },
  {
    id: 'wrong-host',
    number: 10,
    version: '2026-11-27',
    configures: true,
    title: { ja: '同じ鍵で使える国外の窓口', en: 'the global host of a regional provider' },
    why: {
      ja: '提供者によっては同じ鍵が国内と世界共通の窓口の両方で通る。',
      en: 'Some providers accept one key on regional and global hosts, so a wrong host is served, not refused.',
    },
    source: 'OpenAI, data residency: regional hosts',
    how: {
      ja: '記録は国内の窓口だけを挙げ、設定は世界共通の窓口を指す。',
      en: 'The record lists the regional host; the configured address names the global one.',
    },
    check: { ja: '名前を尋ねる前に拒む。', en: 'Refused before the name is asked for.' },
    run: wrongHost,
  },
  {
    id: 'names',
    number: 26,
    version: '2026-11-27',
    configures: true,
    title: { ja: '名前の問い合わせそのもの', en: 'the questions put to name servers' },
    why: {
      ja: '検索ドメインや外部の名前解決では、名前に書かれたものが外へ出る。',
      en: 'Search domains, other resolvers and names made of data carry what the name holds.',
    },
    source: 'resolv.conf(5): search, LOCALDOMAIN and RES_OPTIONS',
    how: {
      ja: '検索ドメインを環境に置き、呼び出し側が番地に目印を入れる。',
      en: 'Search domains in the environment, and canaries in hosts that callers name.',
    },
    check: {
      ja: '問い合わせは記録の名前だけ。',
      en: 'The name server heard the recorded name and nothing else.',
    },
    run: questions,
  },
];

const NAME = 'a.leak.test';
/** All of them lead to the foreign provider. */
const SPELLINGS = [
  '2130706436',
  '127.4',
  '0x7f.4',
  '017700000004',
  '１２７.０.０.４',
  'a@127.0.0.4',
  '127.0.0.4.',
];
const GLOBAL = 'global.leak.test';

async function rebinding(stage: Stage): Promise<void> {
  const { world } = stage;
  mayAskFor(stage, NAME);
  const gateway = await stage.open(namedScene(world, 'rebinding'));
  let asked = 0;
  world.dns.script = (_, type) => {
    if (type === 'AAAA') return [];
    asked += 1;
    return [asked === 1 ? world.homeA.address : world.foreign.address];
  };
  world.homeA.script = () => ({ status: 429, headers: { connection: 'close' } });
  await stage.chat(gateway, { model: 'leak-a' });
  if (world.homeA.requests.length + world.foreign.connections === 0)
    throw new Error('the first answer led nowhere');
  for (let i = 0; i < 3; i++) {
    const reply = await stage.chat(gateway, { model: 'leak-a' });
    await stage.refused(gateway, reply, 'egress_denied', 'address');
  }
}

async function literals(stage: Stage): Promise<void> {
  const { world } = stage;
  const hosts = [world.foreign.address];
  const odd = SPELLINGS.map((host, i) =>
    plainProvider(`odd-${i}`, world.homeA, world, { url: `http://${host}:${world.port}/v1`, hosts }),
  );
  const models = Object.fromEntries(odd.map(({ id }) => [`leak-${id}`, [id]]));
  // The refusal names every one of them.
  const named = new RegExp(odd.map(({ id }) => `(?=[\\s\\S]*${id}\\b[^\\n]*url: )`).join(''));
  await stage.refusesToStart(scene(world, 'literal', { providers: odd, models }), named, async (gateway) => {
    for (const { id } of odd) {
      const reply = await stage.chat(gateway, { model: `leak-${id}` });
      await stage.refused(gateway, reply, 'egress_denied', 'literal');
    }
  });
}

async function otherFamily(stage: Stage): Promise<void> {
  const { world } = stage;
  mayAskFor(stage, NAME);
  const gateway = await stage.open(namedScene(world, 'other-family'));
  for (const six of [
    '0:0:0:0:0:0:0:1',
    '0:0:0:0:0:ffff:7f00:4',
    '64:ff9b:0:0:0:0:7f00:4',
    '2002:7f00:4:0:0:0:0:0',
  ]) {
    world.dns.script = (_, type) => (type === 'AAAA' ? [six] : [world.homeA.address]);
    world.homeA.script = () => ({ status: 429, headers: { connection: 'close' } });
    await stage.chat(gateway, { model: 'leak-a' });
    world.dns.script = (_, type) => (type === 'AAAA' ? [six] : []);
    const reply = await stage.chat(gateway, { model: 'leak-a' });
    await stage.refused(gateway, reply, 'egress_denied', 'address');
  }
}

async function wrongHost(stage: Stage): Promise<void> {
  const { world } = stage;
  world.dns.script = (_, type) => (type === 'A' ? [world.foreign.address] : []);
  const url = `https://${GLOBAL}:${world.port}/v1`;
  await stage.refusesToStart(namedScene(world, 'wrong-host', { url }), /network\.hosts/, async (gateway) => {
    await stage.chat(gateway, { model: 'leak-a' });
  });
}

async function questions(stage: Stage): Promise<void> {
  const { world, canary } = stage;
  mayAskFor(stage, NAME);
  const env = { LOCALDOMAIN: 'search.leak.test', RES_OPTIONS: 'ndots:5' };
  const gateway = await stage.open({ ...namedScene(world, 'names'), env });
  world.dns.script = (_, type) => (type === 'A' ? [world.homeA.address] : []);
  stage.works(await stage.chat(gateway, { model: 'leak-a' }));
  const host = `${canary.at('name').toLowerCase()}.leak.test`;
  for (const member of ['base_url', 'api_base'])
    await stage.chat(gateway, { model: 'leak-a', [member]: `http://${host}:${world.port}/v1` });
}

function mayAskFor(stage: Stage, name: string): void {
  for (const type of ['A', 'AAAA']) stage.mayAsk.add(`${type} ${name}`);
}

/** The common scene under another name, so that it runs by itself. */
export function ownScene(world: LeakWorld, id: string): Scene {
  return { ...commonScene(world), id };
}
