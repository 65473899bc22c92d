/** What the addon can be handed: the same fields, none of them `undefined`. */
type Present<Options> = { -readonly [Name in keyof Options]?: Exclude<Options[Name], undefined> }

/** The fields of `options` that are rows of `table`. */
export function pick<Options extends object, Name extends keyof Options>(
  options: Options,
  table: Readonly<Record<Name, unknown>>,
): Present<Pick<Options, Name>> {
  const picked: Present<Pick<Options, Name>> = {}
  for (const name of Object.keys(table) as Name[]) {
    const value = options[name]
    if (value !== undefined) picked[name] = value as Exclude<Options[Name], undefined>
  }
  return picked
}
