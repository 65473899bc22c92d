/** How a control vector is known to the requests that use it. */
export interface LoadControlVectorOptions {
  /** What requests call it. */
  readonly name: string
  /**
   * How strongly it applies where a request does not say; a negative scale turns it around.
   *
   * @defaultValue 1
   */
  readonly scale?: number | undefined
  /**
   * The first and the last layer it applies to. The model's first layer is 0, and no control vector has it.
   *
   * @defaultValue all
   */
  readonly layers?: readonly [first: number, last: number] | undefined
}

/** A loaded control vector. */
export interface LoadedControlVector {
  readonly name: string
  readonly path: string
  readonly scale: number
}
