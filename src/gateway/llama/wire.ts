import type { JobHandler } from './engine.ts';
import type { ChatResult } from './protocol.ts';

/** What every piece of one answer says of itself. */
export interface AnswerFacts {
  /** `chatcmpl-…` */
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  /** The caller's name of the model. */
  readonly model: string;
  /** Names the engine's model, so that answers of equal seeds can be compared. */
  readonly fingerprint: string;
  /** A new id for a tool call. */
  callId(): string;
}

/** Turns the engine's output into the bytes of an OpenAI answer. */
export interface Wire extends JobHandler<ChatResult> {
  resume(): void;
}

export function usageOf(result: ChatResult) {
  return {
    prompt_tokens: result.promptTokens,
    completion_tokens: result.completionTokens,
    total_tokens: result.promptTokens + result.completionTokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  };
}
