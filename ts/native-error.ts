import { RkllmError } from './error.js'
import type { ErrorCode, ErrorDetails } from './error.js'

/** A failure as the addon reports it: a value, so that its code and facts survive the border. */
export interface NativeError {
  nativeError: boolean
  code: string
  message: string
  retryable: boolean
  /** A JSON object with camelCase keys. */
  details: string
}

/** The error to throw for a failure that the addon reported. */
export function fromNativeError({ code, message, retryable, details }: NativeError): RkllmError {
  return new RkllmError(code as ErrorCode, message, { retryable, details: JSON.parse(details) as ErrorDetails })
}

/** The addon's answer, or its failure thrown as an {@link RkllmError}. */
export function unwrap<T>(value: T | NativeError): T {
  if (isNativeError(value)) throw fromNativeError(value)
  return value
}

function isNativeError(value: unknown): value is NativeError {
  return typeof value === 'object' && value !== null && 'nativeError' in value
}
