/** Header values as single strings, joined as RFC 9110 section 5.3 says; names are lower case. */
export function flatHeaders(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, string> {
  const flat: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) flat[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return flat;
}

/** Why an answer with this head cannot be passed on, or null. */
export function answerTrouble(status: number, headers: Readonly<Record<string, string>>): string | null {
  const encoding = headers['content-encoding'];
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity')
    return 'the answer is compressed, which was not asked for';
  const transfer = headers['transfer-encoding'];
  if (transfer !== undefined && transfer.toLowerCase() !== 'chunked')
    return 'the answer has an unknown transfer coding';
  // RFC 9112 section 6.3, last rule: the end of such a body cannot be told from a broken connection.
  const bodiless = status === 204 || status === 304;
  if (!bodiless && transfer === undefined && headers['content-length'] === undefined)
    return 'the answer has neither a length nor chunks';
  return null;
}
