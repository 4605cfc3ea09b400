/** Chat templates of our own, by name, for bases without one: both are formats that many models know. */

/** Turns between `<|im_start|>` and `<|im_end|>`, which the tokenizer must have. */
const chatml =
  "{% for message in messages %}" +
  "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}" +
  "{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** Turns that the tokenizer's end of text ends, whichever it is. */
const zephyr =
  "{% for message in messages %}" +
  "{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}" +
  "{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}";

/** Their sources. */
export const namedChatTemplates: ReadonlyMap<string, string> = new Map(Object.entries({ chatml, zephyr }));
