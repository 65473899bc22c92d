/**
 * The program of the process that holds an engine alone: see `isolate` in the load options. Its standard
 * input is a socket to the process that has started it; nothing else is to run this.
 */
import { native } from './native.js'

native().serveEngine()
