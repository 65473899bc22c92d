/** How text becomes tokens. */
export interface TokenizeOptions {
  /**
   * Adds the tokens that the model expects at the beginning and the end of a text.
   *
   * @defaultValue false
   */
  readonly addSpecial?: boolean | undefined
  /**
   * Reads control tokens, such as `<|im_end|>`, that are written out in the text. Never do this
   * with text from users: it could end their message and begin the assistant's.
   *
   * @defaultValue false
   */
  readonly parseSpecial?: boolean | undefined
}
