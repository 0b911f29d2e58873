type Labels = Readonly<Record<string, string | number>>;

export interface Reading {
  readonly labels: Labels;
  readonly value: number;
}

/** Counters of this process, with labels of few values; read out in the Prometheus text format 0.0.4. */
export class Metrics {
  readonly #counts = new Map<string, number>();
  readonly #gauges: {
    readonly name: string;
    readonly help: string;
    readonly read: () => readonly Reading[];
  }[] = [];

  count(name: string, labels: Labels = {}): void {
    const series = seriesName(name, labels);
    this.#counts.set(series, (this.#counts.get(series) ?? 0) + 1);
  }

  gauge(name: string, help: string, read: () => number): void {
    this.gauges(name, help, () => [{ labels: {}, value: read() }]);
  }

  /** One gauge with a value for each set of labels. */
  gauges(name: string, help: string, read: () => readonly Reading[]): void {
    this.#gauges.push({ name, help, read });
  }

  text(): string {
    const lines: string[] = [];
    const typed = new Set<string>();
    for (const [series, value] of [...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1))) {
      const name = series.replace(/\{.*$/, '');
      if (!typed.has(name)) lines.push(`# TYPE ${name} counter`);
      typed.add(name);
      lines.push(`${series} ${value}`);
    }
    for (const { name, help, read } of this.#gauges) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} gauge`);
      for (const { labels, value } of read()) lines.push(`${seriesName(name, labels)} ${value}`);
    }
    return `${lines.join('\n')}\n`;
  }
}

function seriesName(name: string, labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}=${JSON.stringify(String(value))}`);
  return pairs.length === 0 ? name : `${name}{${pairs.join(',')}}`;
}
