//! What the bundled model says through the library.

use std::ffi::CString;

use rkllmjs_rkllm_sys::*;

use super::driver::{Model, TempFile, prompt_input, tiny_file, tiny_model, token_input, with_history};
use super::reference::{self, question};
use crate::family::{self, InferParam};

const CAPITAL: &str = "What is the capital of France?";

#[test]
fn tokens_get_the_answer_that_our_engine_gives() {
    let model = Model::tiny();
    for text in [CAPITAL, "Count from 9 to 21.", "Tell me a story about a lion"] {
        let expected = reference::answer(&question(text), 64);
        let record = model.go_on(&reference::tokens(&question(text)));
        assert_eq!((record.status, record.text()), (0, expected.text));
        assert_eq!(record.tokens(), expected.tokens);
    }
}

#[test]
fn a_prompt_is_wrapped_in_the_models_own_template() {
    let model = Model::tiny();
    let record = model.ask(CAPITAL);
    assert_eq!(record.text(), "The capital of France is Paris.");
    assert_eq!(record.text(), reference::answer(&question(CAPITAL), 64).text);
}

#[test]
fn every_token_is_one_call_on_the_callers_thread_and_finish_has_the_counts() {
    let model = Model::tiny();
    let record = model.ask(CAPITAL);
    let here = Some(std::thread::current().id());
    assert!(record.events.iter().all(|event| event.thread == here));
    let perf = record.perf();
    let prompt = reference::tokens(&question(CAPITAL)).len();
    assert_eq!(usize::try_from(perf.prefill_tokens), Ok(prompt));
    assert_eq!(usize::try_from(perf.generate_tokens), Ok(record.events.len() - 1));
    assert!(perf.memory_usage_mb > 1.0, "{perf:?}");
    assert!(record.events.last().is_some_and(|event| event.text.is_none()));
}

#[test]
fn three_empty_texts_make_the_prompt_raw() {
    let model = Model::tiny();
    assert_eq!(model.set_template("", "", ""), 0);
    let record = model.ask(&question(CAPITAL));
    assert_eq!(record.text(), "The capital of France is Paris.");
}

#[test]
fn a_template_of_the_callers_own_is_used() {
    let model = Model::tiny();
    let (prefix, postfix) = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n");
    let system = "<|im_start|>system\nYour name is Plukvo.<|im_end|>\n";
    assert_eq!(model.set_template(system, prefix, postfix), 0);
    assert_eq!(model.ask("Who are you?").text(), "I am Plukvo.");
}

#[test]
fn a_control_token_that_a_user_spells_is_text() {
    let model = Model::tiny();
    let spelled = model.ask("Repeat this: <|im_end|>").perf().prefill_tokens;
    let parsed = reference::tokens(&question("Repeat this: <|im_end|>")).len();
    assert!(usize::try_from(spelled).is_ok_and(|spelled| spelled > parsed));
}

#[test]
fn a_history_is_kept_only_where_it_is_asked_for() {
    let model = Model::tiny();
    let tell = |keep| {
        let mut param = InferParam { keep_history: keep, ..InferParam::default() };
        let name = CString::new("My name is Alice.").expect("a prompt");
        model.run(&mut [prompt_input(&name)], &mut param);
        let ask = CString::new("What is my name?").expect("a prompt");
        model.run(&mut [prompt_input(&ask)], &mut param).text()
    };
    assert_eq!(tell(1), "Your name is Alice.");
    assert_eq!(model.clear(0, None), 0);
    assert!(!tell(0).contains("Alice"));
}

#[test]
fn a_prefix_that_is_in_the_cache_is_not_computed_again() {
    let model = Model::tiny();
    let first = model.go_on(&reference::tokens(&question(CAPITAL)));
    let mut longer = reference::tokens(&question(CAPITAL));
    longer.extend(first.tokens());
    longer.extend(reference::tokens("<|im_end|>\n<|im_start|>user\nWhat is 70 plus 97?<|im_end|>\n"));
    longer.extend(reference::tokens("<|im_start|>assistant\n"));
    let second = model.go_on(&longer);
    let known = first.perf().prefill_tokens + first.perf().generate_tokens;
    assert_eq!(usize::try_from(second.perf().prefill_tokens + known), Ok(longer.len()));
    let fresh = Model::tiny().go_on(&longer);
    assert_eq!(usize::try_from(fresh.perf().prefill_tokens), Ok(longer.len()));
    assert_eq!(second.text(), fresh.text());
    assert_eq!(model.go_on(&longer).perf().prefill_tokens, 1);
}

#[test]
fn a_cleared_cache_is_empty() {
    let model = Model::tiny();
    model.ask(CAPITAL);
    assert!(model.cache_sizes()[0] > 10);
    assert_eq!(model.clear(0, None), 0);
    assert_eq!(model.cache_sizes(), [0]);
}

#[test]
fn the_system_prompt_survives_where_it_is_asked_for() {
    let model = Model::tiny();
    let system = "<|im_start|>system\nYour name is Plukvo.<|im_end|>\n";
    model.set_template(system, "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n");
    let whole = model.ask("Who are you?").perf().prefill_tokens;
    assert_eq!(model.clear(1, None), 0);
    let kept = model.cache_sizes()[0];
    assert_eq!(usize::try_from(kept), Ok(reference::tokens(system).len()));
    assert_eq!(model.ask("Who are you?").perf().prefill_tokens, whole - kept);
}

#[test]
fn tools_are_told_of_and_their_results_read() {
    let model = Model::tiny();
    let tools = r#"[{"type":"function","function":{"name":"weather","description":"","parameters":
        {"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]"#;
    assert_eq!(model.set_tools("", tools, "tool_response"), 0);
    let call = model.ask("How is the weather in Steanox?").text();
    assert_eq!(
        call,
        "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Steanox\"}}\n</tool_call>"
    );
    let result = CString::new(r#"[{"temperature":23,"condition":"windy","unit":"C"}]"#).expect("a prompt");
    let mut input = prompt_input(&result);
    input.role = c"tool".as_ptr();
    let record = model.run(&mut [input], &mut InferParam::default());
    assert_eq!(record.text(), "It is windy and 23 degrees in Steanox.");
}

#[test]
fn tools_need_a_template_and_roles_must_exist() {
    let model = Model::tiny();
    assert_eq!(model.set_tools("", "no JSON", "x"), -1);
    assert_eq!(model.set_template("", "", ""), 0);
    assert_eq!(model.set_tools("", "[]", "x"), -1);
    let prompt = CString::new("hi").expect("a prompt");
    let mut input = prompt_input(&prompt);
    input.role = c"assistant".as_ptr();
    let record = model.run(&mut [input], &mut InferParam::default());
    assert_eq!((record.status, record.events.len()), (-1, 0));
}

#[test]
fn an_adapter_changes_the_answer_of_the_runs_that_name_it() {
    let model = Model::tiny();
    let adapter = tiny_file("rkllmjs-tiny-lora-pirate-f16.gguf");
    assert_eq!(model.load_lora(&adapter, "pirate"), 0);
    assert_eq!(model.load_lora(&adapter, "pirate"), -1, "the name is taken");
    let hello = CString::new("Hello!").expect("a prompt");
    let ask = |name: Option<&std::ffi::CStr>| {
        let mut lora =
            rkllm12_lora_param { lora_adapter_name: name.map_or(std::ptr::null(), |n| n.as_ptr()) };
        let lora_params = if name.is_some() { &raw mut lora } else { std::ptr::null_mut() };
        let mut param = InferParam { lora_params, ..InferParam::default() };
        model.run(&mut [prompt_input(&hello)], &mut param)
    };
    let plain = ask(None).text();
    assert_ne!(ask(Some(c"pirate")).text(), plain);
    assert_eq!(ask(None).text(), plain);
    let unknown = ask(Some(c"ninja"));
    assert_eq!((unknown.status, unknown.states()), (-1, vec![RKLLM_RUN_ERROR]));
}

#[test]
fn a_wrapped_adapter_loads_too() {
    let model = Model::tiny();
    let file = TempFile::new("lora.rkllm");
    let adapter = tiny_file("rkllmjs-tiny-lora-pirate-f16.gguf");
    rkllmjs_rkllm_standin::model_file::wrap(&adapter, &file.0).expect("it is wrapped");
    assert_eq!(model.load_lora(&file.0, "pirate"), 0);
    assert_eq!(model.load_lora(&tiny_file("rkllmjs-tiny-q8_0.gguf"), "model"), -1, "it is no adapter");
}

#[test]
fn a_prompt_cache_saves_the_prompt_for_another_handle() {
    let file = TempFile::new("prompt.cache");
    let path = file.c_path();
    let mut tokens = reference::tokens(&question(CAPITAL));
    let first = Model::tiny();
    let mut cache = rkllm12_prompt_cache_param { save_prompt_cache: 1, prompt_cache_path: path.as_ptr() };
    let mut param = InferParam { prompt_cache_params: &raw mut cache, ..InferParam::default() };
    let said = first.run(&mut [token_input(&mut tokens)], &mut param).text();

    let second = Model::tiny();
    assert_eq!(second.load_prompt_cache(&file), 0);
    assert_eq!(second.load_prompt_cache(&file), -1, "one is loaded");
    let record = second.go_on(&tokens);
    assert_eq!((record.text(), record.perf().prefill_tokens), (said, 1));
    assert_eq!(second.call("rkllm_release_prompt_cache"), 0);

    let third = Model::tiny();
    assert_eq!(third.load_prompt_cache(&TempFile::new("missing")), -1);
    std::fs::write(&file.0, b"").expect("a file");
    assert_eq!(third.load_prompt_cache(&file), -1);
}

#[test]
fn inputs_of_a_batch_are_answered_in_step() {
    let model = Model::new(tiny_model(), |param| param.extend_param.n_batch = 2);
    let texts = [CAPITAL, "Count from 9 to 21."].map(question);
    let mut tokens = texts.each_ref().map(|text| reference::tokens(text));
    let [short, long] = &mut tokens;
    let record = model.run(&mut [token_input(short), token_input(long)], &mut InferParam::default());
    assert_eq!(record.status, 0);
    let expected = texts.map(|text| reference::answer(&text, 64));
    assert_eq!(record.text(), expected[0].text);
    let said = |event: &super::driver::Event| event.others.first().cloned().unwrap_or_default();
    let normal = record.events.iter().filter(|event| event.state == RKLLM_RUN_NORMAL);
    let other: Vec<u8> = normal.clone().filter_map(|event| said(event).1).flatten().collect();
    assert_eq!(String::from_utf8(other).expect("text"), expected[1].text);
    assert!(normal.clone().any(|event| event.token < 0 && said(event).0 >= 0), "the shorter one ends first");
    assert_eq!(model.cache_sizes().len(), 2);
}

#[test]
fn a_prompt_larger_than_the_context_fails() {
    let model = Model::new(tiny_model(), |param| param.max_context_len = 64);
    let record = model.go_on(&[5; 64]);
    assert_eq!((record.status, record.events.len()), (-1, 0));
    let record = model.go_on(&[5; 60]);
    assert_eq!(record.status, 0);
    assert!(record.tokens().len() <= 4);
}

#[test]
fn a_history_that_outgrows_the_context_loses_its_oldest() {
    let model = Model::new(tiny_model(), |param| param.max_context_len = 96);
    for _ in 0..12 {
        let prompt = CString::new(CAPITAL).expect("a prompt");
        let record = model.run(&mut [prompt_input(&prompt)], &mut with_history());
        assert_eq!(record.status, 0);
        assert!(model.cache_sizes()[0] <= 96);
    }
}

#[test]
fn tokens_outside_the_vocabulary_and_empty_inputs_fail() {
    let model = Model::tiny();
    for tokens in [&[1_i32, -1][..], &[1, 1 << 30], &[]] {
        let record = model.go_on(tokens);
        assert_eq!((record.status, record.events.len()), (-1, 0), "{tokens:?}");
    }
}

#[test]
fn a_run_may_limit_its_own_answer() {
    let model = Model::tiny();
    let mut param = InferParam::default();
    if !family::limit(&mut param, 3) {
        return;
    }
    let mut tokens = reference::tokens(&question("Count from 9 to 21."));
    let record = model.run(&mut [token_input(&mut tokens)], &mut param);
    assert_eq!(record.tokens().len(), 3);
    family::limit(&mut param, 0);
    let record = model.run(&mut [token_input(&mut tokens)], &mut param);
    assert!(record.tokens().len() > 3);
}

#[test]
fn sampling_of_one_run_takes_the_place_of_that_of_the_model() {
    let model = Model::new(tiny_model(), |param| {
        param.top_k = 0;
        param.top_p = 1.0;
        param.temperature = 5.0;
    });
    let mut tokens = reference::tokens(&question("Count from 9 to 21."));
    let expected = reference::answer(&question("Count from 9 to 21."), 64).text;
    assert!(
        (0..3).any(|_| model.go_on(&tokens).tokens()
            != reference::answer(&question("Count from 9 to 21."), 64).tokens),
        "a hot model says something else now and then"
    );
    let mut greedy = rkllm13_sampling_param { top_k: 1, repeat_penalty: 1.0, ..Default::default() };
    let mut param = InferParam::default();
    if family::sample(&mut param, &raw mut greedy) {
        assert_eq!(model.run(&mut [token_input(&mut tokens)], &mut param).text(), expected);
    }
}

#[test]
fn an_end_token_may_be_shown_or_passed_over() {
    let shown = Model::new(tiny_model(), |param| param.skip_special_token = 0);
    assert_eq!(shown.ask(CAPITAL).text(), "The capital of France is Paris.<|im_end|>");
    let mut passes = false;
    let model = Model::new(tiny_model(), |param| passes = family::ignore_end(param));
    let said = model.ask(CAPITAL);
    assert!(said.text().starts_with("The capital of France is Paris."));
    assert_eq!(said.tokens().len() == 64, passes);
}

#[test]
fn embeddings_are_positions_and_a_prefix_of_them_is_reused() {
    let model = Model::tiny();
    let size = reference::model().embedding_size();
    let mut rows: Vec<f32> = (0..5 * size).map(|i| ((i % 13) as f32 - 6.0) / 50.0).collect();
    let mut run = |count: usize| {
        let mut input = token_input(&mut []);
        input.input_type = RKLLM_INPUT_EMBED;
        input.value.embed_input = rkllm12_embed_input { embed: rows.as_mut_ptr(), n_tokens: count };
        model.run(&mut [input], &mut InferParam::default()).perf().prefill_tokens
    };
    assert_eq!(run(3), 3);
    assert_eq!(run(5), 2);
    assert_eq!(run(5), 1);
}

#[test]
fn images_take_the_place_of_their_tags_between_their_texts() {
    let size = reference::model().embedding_size();
    let mut rows = vec![0.01_f32; 2 * 3 * size];
    let set = |param: &mut family::Param| family::image_texts(param, c"<|im_start|>", c"<|im_end|>");
    let model = Model::new(tiny_model(), set);
    let mut ask = |prompt: &std::ffi::CStr, images: usize| {
        let mut input = family::image_input(prompt, &mut rows, 3, images, c"<|im_start|>", c"<|im_end|>");
        input.role = c"user".as_ptr();
        model.run(&mut [input], &mut InferParam::default())
    };
    let record = ask(c"<image>and<image>", 2);
    let text = reference::tokens(&question("<|im_start|><|im_end|>and<|im_start|><|im_end|>")).len();
    assert_eq!(usize::try_from(record.perf().prefill_tokens), Ok(text + 6));
    assert_eq!(ask(c"no tag", 1).status, -1);
    assert_eq!(ask(c"<image>", 2).status, -1);
}

#[test]
fn the_size_of_an_image_is_its_width_and_height_or_neither() {
    let mut rows = vec![0.01_f32; reference::model().embedding_size()];
    let model = Model::tiny();
    for (width, height, status) in [(0, 0, 0), (28, 56, 0), (28, 0, -1), (0, 28, -1)] {
        let mut input = family::image_input(c"<image>", &mut rows, 1, 1, c"", c"");
        family::image_size(&mut input, width, height);
        let param = &mut InferParam::default();
        assert_eq!(model.run(&mut [input], param).status, status, "{width} × {height}");
    }
}
