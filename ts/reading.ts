/** A value that the system tells, or `null` and the reason why it does not. */
export type Reading<T> =
  | { readonly value: T; readonly reason: null }
  | { readonly value: null; readonly reason: string }
