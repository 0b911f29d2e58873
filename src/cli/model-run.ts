export async function runModel(): Promise<number> {
  return 2;
}
