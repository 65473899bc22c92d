/** Every code an {@link RkllmError} may carry, with whether the same call may succeed later. */
const RETRYABLE = {
  'invalid-request': false,
  unsupported: false,
  'context-exceeded': false,
  unauthorized: false,
  forbidden: false,
  'model-not-found': false,
  'not-found': false,
  'payload-too-large': false,
  'model-invalid': false,
  'insufficient-memory': false,
  overloaded: true,
  'rate-limited': true,
  'quota-exceeded': false,
  'deadline-exceeded': true,
  'library-unavailable': false,
  'device-unavailable': true,
  unavailable: true,
  closed: false,
  'engine-failed': true,
  internal: false,
} as const satisfies Record<string, boolean>

/** Why a call failed, as one word to branch on. */
export type ErrorCode = keyof typeof RETRYABLE

/** Named facts of an error, such as `promptTokens` and `contextSize` of `context-exceeded`. */
export type ErrorDetails = Readonly<Record<string, unknown>>

/** What an {@link RkllmError} carries besides its code and message. */
export interface RkllmErrorOptions {
  /**
   * Whether the same call may succeed later.
   *
   * @defaultValue as the table of error codes says for the code
   */
  readonly retryable?: boolean | undefined
  /**
   * Facts for code that acts on the error.
   *
   * @defaultValue none
   */
  readonly details?: ErrorDetails | undefined
  /** The error behind this one. */
  readonly cause?: unknown
}

// Registered globally, so that two copies of the package in one process know each other's errors.
const MARKER = Symbol.for('rkllmjs.RkllmError')

/**
 * The one class of errors this package makes.
 *
 * @example
 * ```ts
 * try {
 *   await model.generate(prompt)
 * } catch (error) {
 *   if (RkllmError.is(error) && error.retryable) retryLater()
 *   else throw error
 * }
 * ```
 */
export class RkllmError extends Error {
  /** Why the call failed. */
  readonly code: ErrorCode
  /** Whether the same call, unchanged, may succeed later. */
  readonly retryable: boolean
  /** Facts for code that acts on the error; empty where there are none. */
  readonly details: ErrorDetails

  constructor(code: ErrorCode, message: string, options: RkllmErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? RETRYABLE[code] ?? false
    this.details = options.details ?? {}
  }

  /**
   * Whether `error` is an error of this package, of this copy of it or of another one.
   *
   * `instanceof` fails where two versions of the package are installed side by side.
   */
  static is(error: unknown): error is RkllmError {
    return typeof error === 'object' && error !== null && MARKER in error
  }

  /** The error as plain data, for logs and for JSON over a wire. */
  toJSON(): { name: string; code: ErrorCode; message: string; retryable: boolean; details: ErrorDetails } {
    const { name, code, message, retryable, details } = this
    return { name, code, message, retryable, details }
  }
}

// On the prototype, so that neither shows among an error's own fields when it is printed.
Object.defineProperty(RkllmError.prototype, 'name', { value: 'RkllmError', configurable: true, writable: true })
Object.defineProperty(RkllmError.prototype, MARKER, { value: true })

/** An `invalid-request` error about the caller's input. */
export function invalidRequest(message: string, details?: ErrorDetails): RkllmError {
  return new RkllmError('invalid-request', message, { details })
}
