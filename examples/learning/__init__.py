"""SmolLM2-135M-Instruct learns tasks that others wrote, on two cores: by GRPO, by fine-tuning, by a better prompt."""
