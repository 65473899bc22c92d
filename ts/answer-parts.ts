import type { NativeCallPart, NativePart } from './native.js'
import type { DeltaPart, ToolCallDeltaPart, ToolCallPart } from './parts.js'

/** A part as the addon writes it, in the public form. */
export function toDelta(part: NativePart): DeltaPart {
  if (part.type === 'call' || part.type === 'call-delta') return toCallPart(part)
  const { text, tokens, index, logprobs } = part
  const type = part.type === 'reasoning' ? ('reasoning-delta' as const) : ('text-delta' as const)
  if (logprobs === undefined) return { type, text, tokens, index }
  return { type, text, tokens, index, logprobs }
}

function toCallPart(part: NativeCallPart): ToolCallDeltaPart | ToolCallPart {
  const { tokens, index, logprobs, id, call: callIndex, name } = part
  const place = { index, id, callIndex }
  const source = logprobs === undefined ? { tokens } : { tokens, logprobs }
  if (part.type === 'call') {
    return { type: 'tool-call', ...place, name: name ?? '', arguments: part.arguments, ...source }
  }
  const piece = { argumentsDelta: part.arguments, ...source }
  if (name === null) return { type: 'tool-call-delta', ...place, ...piece }
  return { type: 'tool-call-delta', ...place, name, ...piece }
}
