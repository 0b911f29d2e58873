import type { EgressHandler } from '../../egress/types.ts';
import { Outlet } from './outlet.ts';
import { usageOf } from './wire.ts';
import type { AnswerFacts, Wire } from './wire.ts';

interface PlainCall {
  readonly id: string;
  readonly type: 'function';
  readonly function: { readonly name: string; arguments: string };
}

/** A whole `chat.completion` body, sent when the answer is there. */
export function plainWire(facts: AnswerFacts, handler: EgressHandler): Wire {
  const outlet = new Outlet(handler);
  const calls: PlainCall[] = [];
  let content = '';
  return {
    onEvent(event) {
      if (event.kind === 'text') content += event.text;
      if (event.kind === 'call') {
        calls[event.index] = {
          id: facts.callId(),
          type: 'function',
          function: { name: event.name, arguments: '' },
        };
      }
      if (event.kind === 'argument') {
        const call = calls[event.index];
        if (call !== undefined) call.function.arguments += event.text;
      }
    },
    onEnd(result) {
      const called = calls.length > 0;
      const message = {
        role: 'assistant',
        content: called && content === '' ? null : content,
        refusal: null,
        annotations: [],
        ...(called ? { tool_calls: calls } : {}),
      };
      const body = {
        id: facts.id,
        object: 'chat.completion',
        created: facts.created,
        model: facts.model,
        choices: [{ index: 0, message, logprobs: null, finish_reason: result.finish }],
        usage: usageOf(result),
        system_fingerprint: facts.fingerprint,
      };
      outlet.head('application/json');
      outlet.write(Buffer.from(JSON.stringify(body)));
      outlet.end();
    },
    onError: (fault) => outlet.fail(fault),
    resume: () => outlet.resume(),
  };
}
