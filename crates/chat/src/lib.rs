//! Messages to prompts, output to parts.
