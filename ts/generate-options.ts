import type { JsonSchema } from './response-format.js'
import type { SamplerName } from './sampler-name.js'
import type { OnToken } from './token-callback.js'

/**
 * What is added to the logits of single tokens: by token number, as an object, a `Map` or pairs.
 * `-Infinity` forbids a token.
 */
export type LogitBias =
  | Readonly<Record<number, number>>
  | ReadonlyMap<number, number>
  | readonly (readonly [token: number, bias: number])[]

/** A LoRA adapter by its name, with the scale it was loaded with, or several with their scales. */
export type LoraSelection = string | Readonly<Record<string, number>>

/** A control vector by its name, with the scale it was loaded with, or several with their scales. */
export type ControlVectorSelection = string | Readonly<Record<string, number>>

/** Speculative decoding: tokens that are guessed first, and checked several at a time. */
export interface Speculative {
  /**
   * `'lookup'` guesses what followed the same tokens earlier in the prompt or the answer, `'draft'` asks the
   * smaller model of the load option `draftModel`, `'none'` guesses nothing.
   */
  readonly mode: 'none' | 'lookup' | 'draft'
  /**
   * Most guesses in one step, from 1 to 63. How many there are follows from how often they were right.
   *
   * @defaultValue 16
   */
  readonly maxTokens?: number | undefined
}

/**
 * How text is made. Every option is optional; numbers outside their range, wrong types and
 * unknown names are refused with `invalid-request`.
 *
 * The same seed, options and build, with no other request at work on the model and nothing of the prompt in
 * the cache, give the same text.
 */
export interface GenerateOptions {
  /**
   * Most tokens of one answer.
   *
   * @defaultValue up to the end of the context
   */
  readonly maxTokens?: number | undefined
  /**
   * Divides the logits; 0 always picks the most likely token.
   *
   * @defaultValue 0.8
   */
  readonly temperature?: number | undefined
  /**
   * Keeps this many most likely tokens; 0 keeps all.
   *
   * @defaultValue 40
   */
  readonly topK?: number | undefined
  /**
   * Keeps the smallest set of tokens with this much probability; 1 keeps all.
   *
   * @defaultValue 0.95
   */
  readonly topP?: number | undefined
  /**
   * Keeps tokens with at least this share of the best one's probability.
   *
   * @defaultValue 0.05
   */
  readonly minP?: number | undefined
  /**
   * Keeps the locally typical set of this mass; 1 keeps all.
   *
   * @defaultValue 1
   */
  readonly typicalP?: number | undefined
  /**
   * Keeps logits within this many standard deviations of the best; 0 is off.
   *
   * @defaultValue 0
   */
  readonly topNSigma?: number | undefined
  /**
   * Chance of dropping all top choices but the least likely; 0 is off.
   *
   * @defaultValue 0
   */
  readonly xtcProbability?: number | undefined
  /**
   * The probability that makes a token a top choice; above 0.5 XTC is off.
   *
   * @defaultValue 0.1
   */
  readonly xtcThreshold?: number | undefined
  /**
   * Half the width of the temperature's dynamic range; 0 keeps it fixed.
   *
   * @defaultValue 0
   */
  readonly dynatempRange?: number | undefined
  /**
   * Weakens recent tokens by this factor; 1 is off.
   *
   * @defaultValue 1
   */
  readonly repeatPenalty?: number | undefined
  /**
   * How many recent tokens the penalties look at; -1 is the whole context.
   *
   * @defaultValue 64
   */
  readonly repeatLastN?: number | undefined
  /**
   * Subtracted from a token's logit once for each recent occurrence.
   *
   * @defaultValue 0
   */
  readonly frequencyPenalty?: number | undefined
  /**
   * Subtracted from a token's logit if it occurred recently.
   *
   * @defaultValue 0
   */
  readonly presencePenalty?: number | undefined
  /**
   * Strength of the DRY penalty against repeated passages; 0 is off.
   *
   * @defaultValue 0
   */
  readonly dryMultiplier?: number | undefined
  /**
   * Growth of the DRY penalty with each repeated token.
   *
   * @defaultValue 1.75
   */
  readonly dryBase?: number | undefined
  /**
   * Repeats up to this many tokens are free of the DRY penalty.
   *
   * @defaultValue 2
   */
  readonly dryAllowedLength?: number | undefined
  /**
   * 1 or 2: Mirostat of that version instead of the truncating samplers; 0 is off.
   *
   * @defaultValue 0
   */
  readonly mirostat?: number | undefined
  /**
   * Mirostat's target surprise, in bits.
   *
   * @defaultValue 5
   */
  readonly mirostatTau?: number | undefined
  /**
   * Mirostat's learning rate.
   *
   * @defaultValue 0.1
   */
  readonly mirostatEta?: number | undefined
  /**
   * Start of the random numbers, from 0 to 4294967295.
   *
   * @defaultValue a random number
   */
  readonly seed?: number | undefined
  /**
   * Added to the logits of single tokens; `-Infinity` forbids one.
   *
   * @defaultValue none
   */
  readonly logitBias?: LogitBias | undefined
  /**
   * Strings that end the answer. They are no part of it, and no piece of one is ever streamed.
   *
   * @defaultValue none
   */
  readonly stop?: string | readonly string[] | undefined
  /**
   * Tokens that end the answer, beside the model's own.
   *
   * @defaultValue none
   */
  readonly stopTokens?: readonly number[] | Uint32Array | undefined
  /**
   * Goes on where the model would end its answer.
   *
   * @defaultValue false
   */
  readonly ignoreEos?: boolean | undefined
  /**
   * A grammar in GBNF that the text must follow.
   *
   * @defaultValue none
   */
  readonly grammar?: string | undefined
  /**
   * A JSON Schema that the text must fit: the answer is JSON, and one that ends by itself is whole.
   *
   * @defaultValue none
   */
  readonly jsonSchema?: JsonSchema | undefined
  /**
   * A regular expression that the text must match as a whole, as JavaScript writes it with the flag `u`.
   *
   * @defaultValue none
   */
  readonly regex?: string | undefined
  /**
   * Reports how likely each token was.
   *
   * @defaultValue false
   */
  readonly logprobs?: boolean | undefined
  /**
   * How many alternatives `logprobs` reports for each token.
   *
   * @defaultValue 0
   */
  readonly topLogprobs?: number | undefined
  /**
   * How many answers.
   *
   * @defaultValue 1
   */
  readonly n?: number | undefined
  /**
   * Which sampling steps run, and in which order.
   *
   * @defaultValue all, in the order of {@link SamplerName}
   */
  readonly samplers?: readonly SamplerName[] | undefined
  /**
   * Requests of higher priority leave the queue first.
   *
   * @defaultValue 0
   */
  readonly priority?: number | undefined
  /**
   * Fails with `deadline-exceeded` this long after the call, in milliseconds.
   *
   * @defaultValue none
   */
  readonly timeoutMs?: number | undefined
  /**
   * How long a stream may stay unread, in milliseconds, while other requests wait. After that
   * it fails with `deadline-exceeded`.
   *
   * @defaultValue 60000
   */
  readonly readerTimeoutMs?: number | undefined
  /**
   * The text that follows the answer: the model writes what belongs between the prompt and it. For
   * `generate()`, and for models with tokens for filling in the middle.
   *
   * @defaultValue none
   */
  readonly suffix?: string | undefined
  /**
   * The adapters to run under.
   *
   * @defaultValue none
   */
  readonly lora?: LoraSelection | undefined
  /**
   * The control vectors to run under: one by its name, at the scale it was loaded with, or several with
   * their scales.
   *
   * @defaultValue none
   */
  readonly controlVectors?: ControlVectorSelection | undefined
  /**
   * Whether the beginning of the prompt may come from other requests, running or ended, and theirs from
   * this one. What is shared is computed once; `usage.cachedTokens` says how much it was.
   *
   * @defaultValue true
   */
  readonly cachePrompt?: boolean | undefined
  /**
   * Whose request it is, in at most 256 bytes: nothing is shared between tenants, so that no one can tell
   * from the time to an answer what others have asked.
   *
   * @defaultValue none
   */
  readonly tenant?: string | undefined
  /**
   * Where guesses of the next tokens come from. They change no answer, only how soon it is there.
   *
   * @defaultValue `'draft'` where the model was loaded with `draftModel`, otherwise `'lookup'`
   */
  readonly speculative?: Speculative | undefined
  /** Cancels the generation, which then rejects with the signal's `reason`. */
  readonly signal?: AbortSignal | undefined
  /**
   * Called for each token as it arrives, with the text that is certain by then: empty while a
   * character or a possible stop string is incomplete. If it throws, the generation is
   * cancelled and rejects with what was thrown.
   */
  readonly onToken?: OnToken | undefined
}
