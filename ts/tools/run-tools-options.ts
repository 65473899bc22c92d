import type { ChatOptions } from '../chat-options.js'
import type { Tool } from './tool.js'
import type { ToolStep } from './tool-result.js'

/** How tools are run. The other options are those of `chat()` and hold for each step. */
export interface RunToolsOptions extends Omit<ChatOptions, 'tools' | 'n' | 'addGenerationPrompt'> {
  /** What the model may call; each made by `tool()`. */
  readonly tools: readonly Tool[]
  /**
   * Most answers of the model, from 1 to 100. A run that ends there has executed the calls of its last answer, and
   * its `finishReason` is `'tool-calls'`.
   *
   * @defaultValue 8
   */
  readonly maxSteps?: number | undefined
  /**
   * How long a tool may take, in milliseconds, from 1 to 2147483647; then the model is told so and the tool's
   * `signal` aborts.
   *
   * @defaultValue no limit
   */
  readonly toolTimeoutMs?: number | undefined
  /**
   * Hears of each step when its calls are done; the next one waits for it. If it throws, the run rejects with what
   * was thrown.
   */
  readonly onStep?: ((step: ToolStep) => void | PromiseLike<void>) | undefined
}
