import { commonScene } from '../scenes.ts';
import type { Stage } from '../stage.ts';
import type { Case } from '../case.ts';

const STATUSES = [301, 302, 303, 307, 308];

/** Ways out that a provider's answer opens. */
export const ANSWERS: readonly Case[] = [
  {
    id: 'redirect',
    number: 1,
    version: '2026-11-27',
    configures: false,
    title: { ja: '国外への転送応答', en: 'a provider redirects abroad' },
    why: {
      ja: 'HTTP の部品の多くは 307 と 308 に従って本文全体を、しかも api-key などの鍵を付けたまま送り直す。',
      en: 'Common HTTP clients follow 307 and 308 and send the whole body again, with keys such as api-key.',
    },
    source: 'Fetch standard, HTTP-redirect fetch; measured with the fetch of Node 20 and 26',
    how: {
      ja: '国内の提供者が 301、302、303、307、308 と WebSocket への切り替えで国外の番地を指す。',
      en: 'The domestic provider answers 301, 302, 303, 307 and 308, each with a place abroad.',
    },
    check: {
      ja: '国外に接続がない。redirect で拒否し記録する。',
      en: 'Nothing connects abroad; refused as redirect, with a leaf.',
    },
    run: redirects,
  },
  {
    id: 'fallback',
    number: 7,
    version: '2026-11-27',
    configures: false,
    title: { ja: '国外の同名モデルへの切り替え', en: 'fallback to a foreign deployment of the same name' },
    why: {
      ja: '国内の提供者が応じないとき、再試行が同じ名前の国外の配置へ流れる。',
      en: 'When the domestic providers fail, retries reach a foreign deployment of the same model name.',
    },
    source: 'github.com/BerriAI/litellm/issues/6400',
    how: {
      ja: '国内の二者が 429、500、切断で答える。',
      en: 'Both domestic providers answer 429, 500 and cut connections.',
    },
    check: { ja: '国外に接続がない。', en: 'Nothing connects abroad.' },
    run: fallback,
  },
  {
    id: 'answer-text',
    number: 19,
    version: '2026-11-27',
    configures: false,
    title: { ja: '回答の中のリンクや画像による持ち出し', en: 'links and images in an answer carry data out' },
    why: {
      ja: '画面が回答の画像を読み込むと、その番地に書かれたものが外へ出る。',
      en: 'A page that loads an image of an answer sends what its address holds.',
    },
    source: 'OWASP Top 10 for LLM applications, improper output handling',
    how: { ja: '行わない。', en: 'Not tried.' },
    check: { ja: '画面が外の番地を読み込まない。', en: 'The console loads nothing from other origins.' },
    run: {
      ja: '対象がない: 回答を表示する画面がまだない',
      en: 'part absent: there is no console that shows answers yet',
    },
  },
];

async function redirects(stage: Stage): Promise<void> {
  const { world } = stage;
  const gateway = await stage.open(commonScene(world));
  const location = `http://${world.foreign.address}:${world.port}/v1/chat/completions`;
  for (const status of STATUSES) {
    world.homeA.script = () => ({ status, headers: { location } });
    const reply = await stage.chat(gateway, { model: 'leak-a' });
    await stage.refused(gateway, reply, 'egress_denied', 'redirect');
  }
}

async function fallback(stage: Stage): Promise<void> {
  const { world } = stage;
  const gateway = await stage.open(commonScene(world));
  for (const answer of [{ status: 429 }, { status: 500 }, { status: 503 }, null]) {
    for (const home of [world.homeA, world.homeB]) home.script = () => answer;
    for (const stream of [false, true]) await stage.chat(gateway, { model: 'leak-any', stream });
  }
}
