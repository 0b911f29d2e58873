/** A Markdown file of the repository; `file` is its path from the root. */
export interface Document {
  readonly file: string;
  readonly text: string;
}

/** What a document looks like to a reader who cannot read its words. */
export interface Shape {
  /** The level of each heading, in order. */
  readonly headings: readonly number[];
  /** The language of each fenced block, in order. */
  readonly blocks: readonly string[];
  readonly links: readonly string[];
  readonly commands: readonly TestCommand[];
}

const FENCE = /^```(\S*)$/;
const HEADING = /^(#{1,6}) +(.+?) *$/;
const LINK = /\[[^\]]*\]\(([^()\s]+)\)/g;
const TEST_COMMAND = /npm (test|run test:long) -- ([\w./-]+)/g;
const OUTSIDE = /^[a-z][a-z0-9+.-]*:/i;

/** The relative links of a document, each as `path#fragment` from the root of the repository, with its line. */
export function relativeLinks({
  file,
  text,
}: Document): readonly { readonly line: number; readonly target: string; readonly fragment: string }[] {
  const base = `https://repository.invalid/${file}`;
  return proseLines(text).flatMap(({ line, words }) =>
    [...words.replaceAll(/`[^`]*`/g, '').matchAll(LINK)].flatMap(([, link = '']) => {
      if (OUTSIDE.test(link)) return [];
      const { pathname, hash } = new URL(link, base);
      return [
        { line, target: decodeURIComponent(pathname.slice(1)), fragment: decodeURIComponent(hash.slice(1)) },
      ];
    }),
  );
}

/** The fragments that a document's headings answer to, as the usual renderers of Markdown make them. */
export function anchors(text: string): ReadonlySet<string> {
  return new Set(
    proseLines(text).flatMap(({ words }) => {
      const title = HEADING.exec(words)?.[2];
      return title === undefined ? [] : [slug(title)];
    }),
  );
}

/** A command like `npm test -- road`. */
export interface TestCommand {
  readonly name: string;
  readonly long: boolean;
}

/** The commands that run a part of the tests, blocks included. */
export function testCommands(text: string): readonly TestCommand[] {
  return [...text.matchAll(TEST_COMMAND)].map(([, how, name = '']) => ({ name, long: how !== 'test' }));
}

/** What two translations of one document must share. */
export function shapeOf(document: Document): Shape {
  const lines = document.text.split('\n');
  const fences = lines.flatMap((line) => FENCE.exec(line)?.[1] ?? []);
  return {
    headings: proseLines(document.text).flatMap(({ words }) => HEADING.exec(words)?.[1]?.length ?? []),
    // Every second fence closes a block.
    blocks: fences.filter((_, at) => at % 2 === 0),
    links: relativeLinks(document)
      .map(({ target }) => target.replace(/(\.ja)?\.md$/, ''))
      .toSorted(),
    commands: testCommands(document.text),
  };
}

function proseLines(text: string): readonly { readonly line: number; readonly words: string }[] {
  let fenced = false;
  return text.split('\n').flatMap((words, at) => {
    const fence = FENCE.test(words);
    if (fence) fenced = !fenced;
    return fence || fenced ? [] : [{ line: at + 1, words }];
  });
}

function slug(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .replaceAll(' ', '-');
}
