"""The other picture transformers: SD 3, Qwen Image, Z-Image, Anima and ERNIE-Image.

ERNIE-Image's sizes come from the file. Those of the others are fixed but for their depth, and for SD 3 and Z-Image
not even that can be small.
"""

from __future__ import annotations

from tools.synthetic_models.tensors import Layers


def sd3() -> Layers:
    """SD 3 Medium: the library takes width from depth, and depth counts from 24 upwards."""
    return _mmdit(dual_blocks=0)


def sd35() -> Layers:
    """SD 3.5 Medium: 13 of its blocks attend twice, and heads are normalised."""
    return _mmdit(dual_blocks=13)


def _mmdit(dual_blocks: int) -> Layers:
    hidden, depth = 1536, 24
    layers = Layers()
    layers.parameter("pos_embed", hidden, (384 if dual_blocks else 192) ** 2)
    layers.convolution("x_embedder.proj", 16, hidden, kernel=2)
    for name, inputs in (("t_embedder", 256), ("y_embedder", 2048)):
        layers.linear(f"{name}.mlp.0", inputs, hidden)
        layers.linear(f"{name}.mlp.2", hidden, hidden)
    layers.linear("context_embedder", 4096, hidden)
    for block in range(depth):
        is_last = block == depth - 1
        for side in ("context", "x"):
            name = f"joint_blocks.{block}.{side}_block"
            only_read = side == "context" and is_last
            is_dual = side == "x" and block < dual_blocks
            for attention in ("attn", "attn2") if is_dual else ("attn",):
                layers.linear(f"{name}.{attention}.qkv", hidden, 3 * hidden)
                if dual_blocks:
                    layers.norm(f"{name}.{attention}.ln_q", 64, bias=False)
                    layers.norm(f"{name}.{attention}.ln_k", 64, bias=False)
                if not only_read:
                    layers.linear(f"{name}.{attention}.proj", hidden, hidden)
            if not only_read:
                layers.linear(f"{name}.mlp.fc1", hidden, 4 * hidden)
                layers.linear(f"{name}.mlp.fc2", 4 * hidden, hidden)
            modulations = 2 if only_read else 9 if is_dual else 6
            layers.linear(f"{name}.adaLN_modulation.1", hidden, modulations * hidden)
    layers.linear("final_layer.adaLN_modulation.1", hidden, 2 * hidden)
    layers.linear("final_layer.linear", hidden, 64)
    return layers


def qwen_image() -> Layers:
    hidden = 3072
    layers = Layers()
    layers.linear("img_in", 64, hidden)
    layers.norm("txt_norm", 3584, bias=False)
    layers.linear("txt_in", 3584, hidden)
    layers.linear("time_text_embed.timestep_embedder.linear_1", 256, hidden)
    layers.linear("time_text_embed.timestep_embedder.linear_2", hidden, hidden)
    name = "transformer_blocks.0"
    for part in ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"):
        layers.linear(f"{name}.attn.{part}", hidden, hidden)
    for part in ("norm_q", "norm_k", "norm_added_q", "norm_added_k"):
        layers.norm(f"{name}.attn.{part}", 128, bias=False)
    for side in ("img", "txt"):
        layers.linear(f"{name}.{side}_mod.1", hidden, 6 * hidden)
        layers.linear(f"{name}.{side}_mlp.net.0.proj", hidden, 4 * hidden)
        layers.linear(f"{name}.{side}_mlp.net.2", 4 * hidden, hidden)
    layers.linear("norm_out.linear", hidden, 2 * hidden)
    layers.linear("proj_out", hidden, 64)
    return layers


def z_image() -> Layers:
    hidden, inner = 3840, 10_240
    layers = Layers()
    layers.linear("x_embedder", 64, hidden)
    layers.norm("cap_embedder.0", 2560, bias=False)
    layers.linear("cap_embedder.1", 2560, hidden)
    layers.parameter("cap_pad_token", hidden)
    layers.parameter("x_pad_token", hidden)
    layers.linear("t_embedder.mlp.0", 256, 1024)
    layers.linear("t_embedder.mlp.2", 1024, 256)
    for group, depth in (("layers", 30), ("noise_refiner", 2), ("context_refiner", 2)):
        for block in range(depth):
            name = f"{group}.{block}"
            if group != "context_refiner":
                layers.linear(f"{name}.adaLN_modulation.0", 256, 4 * hidden)
            layers.linear(f"{name}.attention.qkv", hidden, 3 * hidden, bias=False)
            layers.linear(f"{name}.attention.out", hidden, hidden, bias=False)
            layers.norm(f"{name}.attention.q_norm", 128, bias=False)
            layers.norm(f"{name}.attention.k_norm", 128, bias=False)
            for norm in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"):
                layers.norm(f"{name}.{norm}", hidden, bias=False)
            layers.linear(f"{name}.feed_forward.w1", hidden, inner, bias=False)
            layers.linear(f"{name}.feed_forward.w2", inner, hidden, bias=False)
            layers.linear(f"{name}.feed_forward.w3", hidden, inner, bias=False)
    layers.linear("final_layer.adaLN_modulation.1", 256, hidden)
    layers.linear("final_layer.linear", hidden, 64)
    return layers


def anima() -> Layers:
    """One block of the network, and the whole adapter that turns a language model's states into T5's."""
    hidden, text, modulation = 2048, 1024, 256
    layers = Layers()
    layers.linear("net.x_embedder.proj.1", 68, hidden, bias=False)
    layers.linear("net.t_embedder.1.linear_1", hidden, hidden, bias=False)
    layers.linear("net.t_embedder.1.linear_2", hidden, 3 * hidden, bias=False)
    layers.norm("net.t_embedding_norm", hidden, bias=False)
    name = "net.blocks.0"
    for part in ("self_attn", "cross_attn", "mlp"):
        layers.linear(f"{name}.adaln_modulation_{part}.1", hidden, modulation, bias=False)
        layers.linear(f"{name}.adaln_modulation_{part}.2", modulation, 3 * hidden, bias=False)
    _anima_attention(layers, f"{name}.self_attn", hidden, hidden, head=128, last="output_proj")
    _anima_attention(layers, f"{name}.cross_attn", hidden, text, head=128, last="output_proj")
    layers.linear(f"{name}.mlp.layer1", hidden, 4 * hidden, bias=False)
    layers.linear(f"{name}.mlp.layer2", 4 * hidden, hidden, bias=False)
    layers.linear("net.final_layer.adaln_modulation.1", hidden, modulation, bias=False)
    layers.linear("net.final_layer.adaln_modulation.2", modulation, 2 * hidden, bias=False)
    layers.linear("net.final_layer.linear", hidden, 64, bias=False)
    layers.embedding("net.llm_adapter.embed.weight", text, 32_128)
    for block in range(6):
        name = f"net.llm_adapter.blocks.{block}"
        for part in ("self_attn", "cross_attn"):
            layers.norm(f"{name}.norm_{part}", text, bias=False)
            _anima_attention(layers, f"{name}.{part}", text, text, head=64, last="o_proj")
        layers.norm(f"{name}.norm_mlp", text, bias=False)
        layers.linear(f"{name}.mlp.0", text, 4 * text)
        layers.linear(f"{name}.mlp.2", 4 * text, text)
    layers.linear("net.llm_adapter.out_proj", text, text)
    layers.norm("net.llm_adapter.norm", text, bias=False)
    return layers


def _anima_attention(layers: Layers, name: str, width: int, keys: int, *, head: int, last: str) -> None:
    for part, inputs in (("q_proj", width), ("k_proj", keys), ("v_proj", keys), (last, width)):
        layers.linear(f"{name}.{part}", inputs, width, bias=False)
    for part in ("q_norm", "k_norm"):
        layers.norm(f"{name}.{part}", head, bias=False)


def ernie_image() -> Layers:
    hidden, text = 128, 64
    layers = Layers()
    layers.convolution("x_embedder.proj", 128, hidden, kernel=1)
    layers.linear("text_proj", text, hidden, bias=False)
    layers.linear("time_embedding.linear_1", hidden, hidden)
    layers.linear("time_embedding.linear_2", hidden, hidden)
    layers.linear("adaLN_modulation.1", hidden, 6 * hidden)
    name = "layers.0"
    layers.norm(f"{name}.adaLN_sa_ln", hidden, bias=False)
    layers.norm(f"{name}.adaLN_mlp_ln", hidden, bias=False)
    for part in ("to_q", "to_k", "to_v", "to_out.0"):
        layers.linear(f"{name}.self_attention.{part}", hidden, hidden, bias=False)
    for part in ("norm_q", "norm_k"):
        layers.norm(f"{name}.self_attention.{part}", 128, bias=False)
    layers.linear(f"{name}.mlp.gate_proj", hidden, 4 * hidden, bias=False)
    layers.linear(f"{name}.mlp.up_proj", hidden, 4 * hidden, bias=False)
    layers.linear(f"{name}.mlp.linear_fc2", 4 * hidden, hidden, bias=False)
    layers.linear("final_norm.linear", hidden, 2 * hidden)
    layers.linear("final_linear", hidden, 128)
    return layers
