import type { ChatHistoryItem, ChatModelFunctionCall } from 'node-llama-cpp';
import type { AnsweredCall, ChatTurn } from './protocol.ts';

/** The conversation in the engine's terms; it ends with the turn that the model writes. */
export function chatHistory(turns: readonly ChatTurn[]): ChatHistoryItem[] {
  return turns.map((turn) =>
    turn.role === 'assistant'
      ? { type: 'model', response: turn.parts.flatMap(responsePart) }
      : { type: turn.role, text: turn.text },
  );
}

function responsePart(part: string | readonly AnsweredCall[]): (string | ChatModelFunctionCall)[] {
  return typeof part === 'string' ? [part] : part.map(functionCall);
}

function functionCall(call: AnsweredCall, place: number): ChatModelFunctionCall {
  return {
    type: 'functionCall',
    name: call.name,
    params: call.arguments,
    result: call.result,
    startsNewChunk: place === 0,
  };
}
