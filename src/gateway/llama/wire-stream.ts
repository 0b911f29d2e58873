import type { EgressHandler } from '../../egress/types.ts';
import { Outlet } from './outlet.ts';
import type { ChatEvent } from './protocol.ts';
import { usageOf } from './wire.ts';
import type { AnswerFacts, Wire } from './wire.ts';

const DONE = Buffer.from('data: [DONE]\n\n');

/** Server-sent `chat.completion.chunk` events as they come. The head waits for the first of them, so that a request which fails before has no answer yet. */
export function streamWire(facts: AnswerFacts, includeUsage: boolean, handler: EgressHandler): Wire {
  const outlet = new Outlet(handler);
  let begun = false;
  const send = (choices: readonly object[], usage: object | null): void => {
    const chunk = {
      id: facts.id,
      object: 'chat.completion.chunk',
      created: facts.created,
      model: facts.model,
      system_fingerprint: facts.fingerprint,
      choices,
      ...(includeUsage ? { usage } : {}),
    };
    outlet.write(Buffer.from(`data: ${JSON.stringify(chunk)}\n\n`));
  };
  const sendDelta = (delta: object, finish: string | null): void => {
    send([{ index: 0, delta, logprobs: null, finish_reason: finish }], null);
  };
  const begin = (content: '' | null): void => {
    if (begun) return;
    begun = true;
    outlet.head('text/event-stream; charset=utf-8');
    sendDelta({ role: 'assistant', content, refusal: null }, null);
  };
  return {
    onEvent(event) {
      if (event.kind === 'start') return;
      begin(event.kind === 'text' ? '' : null);
      sendDelta(deltaOf(event, facts), null);
    },
    onEnd(result) {
      begin('');
      sendDelta({}, result.finish);
      if (includeUsage) send([], usageOf(result));
      outlet.write(DONE);
      outlet.end();
    },
    onError: (fault) => outlet.fail(fault),
    resume: () => outlet.resume(),
  };
}

function deltaOf(event: Exclude<ChatEvent, { kind: 'start' }>, facts: AnswerFacts): object {
  if (event.kind === 'text') return { content: event.text };
  const { index } = event;
  if (event.kind === 'argument') return { tool_calls: [{ index, function: { arguments: event.text } }] };
  const called = { name: event.name, arguments: '' };
  return { tool_calls: [{ index, id: facts.callId(), type: 'function', function: called }] };
}
