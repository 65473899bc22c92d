use rkllmjs_core::Error;
use serde_json::Value;

use crate::companion_file::CompanionFile;

/// The chat templates of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatTemplates {
    /// The one to use.
    pub default: Option<String>,
    /// One made for conversations with tools, where there is one besides.
    pub tool_use: Option<String>,
}

/// The files that may hold templates; the first that does counts.
pub(crate) struct TemplateFiles<'a> {
    pub(crate) jinja: Option<&'a CompanionFile>,
    pub(crate) json: Option<&'a CompanionFile>,
    pub(crate) config: Option<&'a CompanionFile>,
}

impl ChatTemplates {
    pub(crate) fn read(files: &TemplateFiles<'_>) -> Result<Self, Error> {
        if let Some(file) = files.jinja {
            return Ok(Self { default: Some(file.text()?.to_owned()), tool_use: None });
        }
        for file in [files.json, files.config].into_iter().flatten() {
            match file.fields()?.get("chat_template") {
                None | Some(Value::Null) => {}
                Some(value) => return Self::from_value(file, value),
            }
        }
        Ok(Self::default())
    }

    fn from_value(file: &CompanionFile, value: &Value) -> Result<Self, Error> {
        let wrong =
            || file.invalid("`chat_template` must be a text or a list of objects with `name` and `template`");
        let entries = match value {
            Value::String(template) => {
                return Ok(Self { default: Some(template.clone()), tool_use: None });
            }
            Value::Array(entries) => entries,
            _ => return Err(wrong()),
        };
        let mut named = Vec::new();
        for entry in entries {
            let text = |field: &str| entry.get(field).and_then(Value::as_str);
            named.push(text("name").zip(text("template")).ok_or_else(wrong)?);
        }
        let find = |wanted: &str| named.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text);
        let only = if let [(_, text)] = named.as_slice() { Some(*text) } else { None };
        let default = find("default").or(only).ok_or_else(|| {
            file.invalid("`chat_template` lists several templates and none of them is named \"default\"")
        })?;
        Ok(Self { default: Some(default.to_owned()), tool_use: find("tool_use").map(str::to_owned) })
    }
}
