import { readFileSync, writeFileSync } from 'node:fs';

const README = new URL('./README.md', import.meta.url);
const BEGIN = '<!-- bench:begin -->';
const END = '<!-- bench:end -->';

/** Puts a report between the markers of the page about the bench, with the day and the command that made it. */
export function writeReadme(report: string, args: readonly string[]): void {
  const page = readFileSync(README, 'utf8');
  const [from, to] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`bench/README.md has no ${BEGIN} before ${END}`);
  const day = new Date().toISOString().slice(0, 10);
  const command = ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' ');
  const text = `${BEGIN}\n\n\`${command}\` on ${day}:\n\n\`\`\`\n${report.trimEnd()}\n\`\`\`\n\n`;
  writeFileSync(README, page.slice(0, from) + text + page.slice(to));
}
