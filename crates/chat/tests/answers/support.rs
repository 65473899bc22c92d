//! Templates, a vocabulary, and reading an answer piece by piece.

use rkllmjs_chat::{
    AnswerFormat, AnswerMessage, AnswerReader, ChatTemplate, Delta, Ending, Messages, Prompt, RenderOptions,
};
use rkllmjs_core::{Error, Special, SpecialToken, Token, Tokenizer};
use serde_json::{Value, json};

pub(crate) const TINY: &str = include_str!("../../../../models/tiny/template.jinja");
/// As models write that think in tags and call tools in JSON.
pub(crate) const THINKING: &str = "{%- if tools %}{{- '<|im_start|>system\n<tools>' }}{%- for tool in tools %}{{- '\n' + (tool | tojson) }}\
{%- endfor %}{{- '\n</tools><|im_end|>\n' }}{%- endif %}{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' }}\
{%- if m.role == 'assistant' and m.reasoning_content %}{{- '<think>\n' + m.reasoning_content + '\n</think>\n\n' }}\
{%- endif %}{{- m.content }}{%- for call in m.tool_calls or [] %}{{- '\n<tool_call>\n{\"name\": \"' + call.function.name \
+ '\", \"arguments\": ' + (call.function.arguments | tojson) + '}\n</tool_call>' }}{%- endfor %}{{- '<|im_end|>\n' }}\
{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- if enable_thinking is defined and \
enable_thinking is false %}{{- '<think>\n\n</think>\n\n' }}{%- endif %}{%- endif %}";
pub(crate) const PLAIN: &str = "{%- for m in messages %}{{- m.role + ': ' + m.content + '\n' }}{%- endfor %}";

/// A vocabulary of bytes, and of control tokens.
pub(crate) struct Bytes(pub(crate) Vec<SpecialToken>);

impl Tokenizer for Bytes {
    fn tokenize(&self, text: &str, special: Special) -> Result<Vec<Token>, Error> {
        let mut tokens = Vec::new();
        let mut rest = text.as_bytes();
        while let [first, after @ ..] = rest {
            let control =
                self.0.iter().find(|known| special.parse && rest.starts_with(known.text.as_bytes()));
            tokens.push(control.map_or(u32::from(*first), |known| known.token));
            rest = control.map_or(after, |known| &rest[known.text.len()..]);
        }
        Ok(tokens)
    }

    fn piece(&self, token: Token, _: Special) -> Vec<u8> {
        u8::try_from(token).into_iter().collect()
    }

    fn detokenize(&self, tokens: &[Token]) -> String {
        tokens.iter().filter_map(|&token| char::from_u32(token)).collect()
    }

    fn vocabulary_size(&self) -> u32 {
        300
    }

    fn is_end(&self, token: Token) -> bool {
        token == 256
    }

    fn control_tokens(&self) -> &[SpecialToken] {
        &self.0
    }

    fn start_text(&self) -> &'static str {
        ""
    }

    fn end_text(&self) -> &'static str {
        "<|im_end|>"
    }
}

/// Random numbers that are the same in every run.
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }

    /// Up to `most` places below `end`, in their order.
    pub(crate) fn cuts(&mut self, end: usize, most: usize) -> Vec<usize> {
        let mut cuts: Vec<usize> = (0..=self.below(most)).map(|_| self.below(end)).collect();
        cuts.sort_unstable();
        cuts
    }
}

pub(crate) fn tool(name: &str, parameters: &Value) -> Value {
    json!({ "type": "function", "function": { "name": name, "parameters": parameters } })
}

pub(crate) fn tools() -> Vec<Value> {
    let text = json!({ "type": "string" });
    vec![
        tool("weather", &json!({ "type": "object", "properties": { "city": text } })),
        tool(
            "weather_at",
            &json!({ "type": "object", "properties": { "city": text, "hour": { "type": "number" } } }),
        ),
        tool("now", &json!({ "type": "object", "properties": {} })),
    ]
}

pub(crate) fn try_render(template: &str, options: &RenderOptions) -> Result<Prompt, Error> {
    let control = SpecialToken { token: 256, text: "<|im_end|>".to_owned() };
    let messages = Messages::from_json(r#"[{"role":"user","content":"Hi <|im_end|>"}]"#).expect("messages");
    ChatTemplate::new(template.trim_end(), &Bytes(vec![control]))
        .expect("template")
        .render(&messages, options)
}

pub(crate) fn render(template: &str, options: &RenderOptions) -> Prompt {
    try_render(template, options).expect("rendered")
}

pub(crate) fn format(template: &str) -> AnswerFormat {
    render(template, &with_tools()).format().expect("more than text").clone()
}

pub(crate) fn with_tools() -> RenderOptions {
    RenderOptions { tools: tools(), parallel_tool_calls: Some(true), ..RenderOptions::default() }
}

/// What somebody has who joins the deltas.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Joined {
    pub(crate) content: String,
    pub(crate) reasoning: String,
    /// Name and arguments of each call, from its pieces.
    pub(crate) pieces: Vec<(String, String, String)>,
    pub(crate) calls: Vec<(String, String, String)>,
}

impl Joined {
    pub(crate) fn add(&mut self, deltas: Vec<Delta>) {
        for delta in deltas {
            match delta {
                Delta::Text(text) => self.content.push_str(&text),
                Delta::Reasoning(text) => self.reasoning.push_str(&text),
                Delta::CallDelta { call, id, name, arguments } => {
                    let call = call as usize;
                    if call == self.pieces.len() {
                        self.pieces.push((
                            id.clone(),
                            name.clone().expect("the first has it"),
                            String::new(),
                        ));
                    } else {
                        assert_eq!(name, None, "only the first piece has the name");
                    }
                    let piece = self.pieces.get_mut(call).expect("calls come in their order");
                    assert_eq!(piece.0, id);
                    piece.2.push_str(&arguments);
                }
                Delta::Call { call, called } => {
                    assert_eq!(call as usize, self.calls.len());
                    self.calls.push((called.id, called.name, called.arguments));
                }
            }
        }
    }
}

/// Reads `answer` in pieces that end at `cuts`.
pub(crate) fn read(
    format: &AnswerFormat,
    answer: &str,
    cuts: &[usize],
    ending: Ending,
) -> (Joined, AnswerMessage) {
    let mut reader = AnswerReader::new(format, 1).expect("reader");
    let mut joined = Joined::default();
    for &cut in cuts.iter().filter(|&&cut| answer.is_char_boundary(cut)) {
        joined.add(reader.push(0, &answer[..cut]));
    }
    let (deltas, message) = reader.finish(0, answer, ending);
    joined.add(deltas);
    (joined, message)
}

pub(crate) fn call(name: &str, arguments: &str) -> String {
    format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>")
}
