export async function runLedger(): Promise<number> {
  return 2;
}
