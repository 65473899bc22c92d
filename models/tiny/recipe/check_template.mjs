// The chat template, rendered by @huggingface/jinja, must give the text of the held-out prompts.
//
//   node check_template.mjs
import fs from "node:fs";
import {Template} from "@huggingface/jinja";

const read = (name) => fs.readFileSync(new URL(`../${name}`, import.meta.url), "utf8");

const template = new Template(read("template.jinja").trimEnd());
const items = read("heldout.jsonl").split("\n").filter(Boolean).map((line) => JSON.parse(line));

const different = items.filter(({messages, tools, prompt}) => {
    const rendered = template.render({
        messages,
        tools: tools.length ? tools : undefined,
        add_generation_prompt: true,
    });
    return rendered !== prompt;
});
for (const {id} of different.slice(0, 3)) console.log("DIFFERENT", id);
console.log(items.length, "prompts,", different.length, "rendered differently");
process.exitCode = different.length ? 1 : 0;
