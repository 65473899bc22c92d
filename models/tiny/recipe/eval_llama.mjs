// Runs requests through llama.cpp (the prebuilt binary of node-llama-cpp) on the CPU, greedy.
//
//   node eval_llama.mjs <model.gguf> <requests.jsonl> <replies.jsonl> [lora.gguf]
//
// A request is one of
//   {"prompt": "...", "max": 64}   ->  {"text": "..."}
//   {"tokenize": "..."}            ->  {"ids": [...], "back": "..."}
import fs from "node:fs";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const [modelPath, requestsPath, repliesPath, lora] = process.argv.slice(2);

const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.warn});
const model = await llama.loadModel({modelPath});
const context = await model.createContext({contextSize: 1024, threads: 1, ...(lora ? {lora} : {})});
const sequence = context.getSequence();

function tokenize(text) {
    const ids = model.tokenize(text, false, "trimLeadingSpace");
    return {ids: [...ids], back: model.detokenize(ids)};
}

async function complete(prompt, max) {
    await sequence.clearHistory();
    const generated = [];
    const tokens = model.tokenize(prompt, true, "trimLeadingSpace");
    for await (const token of sequence.evaluate(tokens, {temperature: 0})) {
        if (model.isEogToken(token) || generated.length >= max) break;
        generated.push(token);
    }
    return {text: model.detokenize(generated, true)};
}

const requests = fs.readFileSync(requestsPath, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));
const replies = [];
const started = Date.now();
for (const request of requests) {
    const isTokenize = request.tokenize !== undefined;
    replies.push(isTokenize ? tokenize(request.tokenize) : await complete(request.prompt, request.max));
}
fs.writeFileSync(repliesPath, replies.map((reply) => JSON.stringify(reply) + "\n").join(""));
console.log(`${modelPath}: ${replies.length} requests, ${(Date.now() - started) / 1000} s`);
// node-llama-cpp keeps worker threads alive.
process.exit(0);
