/*
 * What Azure OpenAI adds to OpenAI's wire: the results of its content filters, which in a stream come first, in a frame
 * without choices and with blank members.
 */

const SAFE = { filtered: false, severity: 'safe' };
const RESULTS = { hate: SAFE, self_harm: SAFE, sexual: SAFE, violence: SAFE };

/** The result of the filters for a request's only prompt. */
export const PROMPT_RESULTS = [{ prompt_index: 0, content_filter_results: RESULTS }];

/** A whole chat completion as Azure gives it. */
export function azureReply(reply: object): object {
  return { ...reply, prompt_filter_results: PROMPT_RESULTS };
}

/** The events of a streamed chat completion as Azure gives them. */
export function azureStream(events: readonly string[]): readonly string[] {
  const first = {
    choices: [],
    created: 0,
    id: '',
    model: '',
    object: '',
    prompt_filter_results: PROMPT_RESULTS,
  };
  return [`data: ${JSON.stringify(first)}\n\n`, ...events];
}

/** What Azure says, with status 400, of a prompt that its filters stop. */
export function azureFiltered(): string {
  const innererror = {
    code: 'ResponsibleAIPolicyViolation',
    content_filter_result: { ...RESULTS, hate: { filtered: true, severity: 'high' } },
  };
  const message = 'The response was filtered due to the prompt.';
  const error = { message, type: null, param: 'prompt', code: 'content_filter', status: 400, innererror };
  return JSON.stringify({ error });
}
