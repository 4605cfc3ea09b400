/** Each kind of kernel at the sizes of a model, as work over any engine: its results are read and compared. */

/** Numbers about ±1 that bf16 holds exactly; another seed is other numbers. */
function numbers(length, seed, size = 1) {
  const values = new Float32Array(length);
  let state = seed;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (((state >>> 20) & 127) - 64) * (size / 64);
  }
  return values;
}

/** @returns what to run: `run(engine)` gives the arrays to compare. */
export function kernelCases(config, T) {
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headDim: d, vocabSize: V } = config;
  const [X, Q, K, R] = [(H + 2 * G) * d, H * d, 10, Math.min(T, 256)];
  const row = Math.min(512, T);
  const cuSeqlens = Int32Array.from({ length: Math.ceil(T / row) + 1 }, (_, s) => Math.min(T, s * row));
  const heads = { T, H, G, d, window: 0 };
  const vector = (engine, length, seed) =>
    engine.matrix({ dtype: "f32", shape: [length], bytes: new Uint8Array(numbers(length, seed).buffer) });
  const map = (engine, rows, columns, seed) => {
    const values = numbers(rows * columns, seed, 1 / Math.sqrt(columns));
    return engine.matrix({ dtype: "f32", shape: [rows, columns], bytes: new Uint8Array(values.buffer) });
  };
  const qkvOf = (engine) => engine.upload(numbers(T * X, 3, 0.5));
  const setsOf = (engine) => {
    const kv_RY = engine.upload(numbers(K * 2 * G * d, 4));
    return [{ kv_RY, rows: [0, K], tokens: [0, T], gate_H: Float32Array.from({ length: H }, (_, h) => (h % 3) - 1) }];
  };
  const angles = Float32Array.from({ length: T * d }, (_, i) => {
    const [t, c] = [Math.floor(i / d) % row, i % d];
    const angle = t * 10000 ** ((-2 * (c % (d / 2))) / d);
    return c < d / 2 ? Math.cos(angle) : Math.sin(angle);
  });
  const gatedUnit = (name) => (engine) => {
    const gateUp = engine.upload(numbers(T * 2 * F, 8, 2));
    return [
      engine[name](gateUp, { T, F }),
      engine[`${name}Backward`](engine.upload(numbers(T * F, 9)), gateUp, { T, F }),
    ];
  };
  const unit = (name) => (engine) => [engine[name](engine.upload(numbers(T * F, 9, 2)), { T, F })];
  return [
    {
      name: "linear",
      run(engine) {
        const weight = map(engine, X, D, 1);
        const y = engine.linear(engine.upload(numbers(T * D, 2)), weight, { T });
        return [y, engine.linearBackward(qkvOf(engine), weight, { T })];
      },
    },
    {
      name: "rmsNorm",
      run(engine) {
        const [x_TD, weight_D, dy_TD] = [
          engine.upload(numbers(T * D, 2)),
          vector(engine, D, 5),
          engine.upload(numbers(T * D, 6)),
        ];
        const { y_TD, rstd_T } = engine.rmsNorm(x_TD, weight_D, { T, D, eps: 1e-5 });
        return [y_TD, engine.rmsNormBackward({ dy_TD, x_TD, weight_D, rstd_T, residual_TD: x_TD }, { T, D })];
      },
    },
    {
      name: "rope",
      run(engine) {
        const [one, back] = [qkvOf(engine), qkvOf(engine)];
        const cosSin_Td = engine.upload(angles);
        engine.rope(one, cosSin_Td, heads);
        engine.rope(back, cosSin_Td, { ...heads, inverse: true });
        return [one, back];
      },
    },
    {
      name: "attention",
      run(engine) {
        const qkv_TX = qkvOf(engine);
        const { o_TQ, lse_TH } = engine.attention(qkv_TX, cuSeqlens, heads);
        const input = { do_TQ: engine.upload(numbers(T * Q, 7)), qkv_TX, o_TQ, lse_TH };
        return [o_TQ, lse_TH, engine.attentionBackward(input, cuSeqlens, heads)];
      },
    },
    {
      name: "attention without a mask",
      run: (engine) => [engine.attention(qkvOf(engine), cuSeqlens, { ...heads, causal: false }).o_TQ],
    },
    {
      name: "attention with prompts",
      run(engine) {
        const [qkv_TX, sets, do_TQ] = [qkvOf(engine), setsOf(engine), engine.upload(numbers(T * Q, 7))];
        const both = engine.promptedAttention({ qkv_TX, sets }, cuSeqlens, heads);
        if (both) {
          const input = { do_TQ, qkv_TX, sets, ...both };
          const { dqkv_TX, prompts } = engine.promptedAttentionBackward(input, cuSeqlens, {
            ...heads,
            withInput: true,
          });
          return [both.y_TQ, dqkv_TX, ...prompts.flatMap(({ dkv_KY, dgate_H }) => [dkv_KY, dgate_H])];
        }
        const { o_TQ, lse_TH } = engine.attention(qkv_TX, cuSeqlens, heads);
        const y_TQ = engine.promptAttention(o_TQ, { qkv_TX, sets }, heads);
        const dqkv_TX = engine.attentionBackward({ do_TQ, qkv_TX, o_TQ, lse_TH }, cuSeqlens, heads);
        const prompts = engine.promptAttentionBackward({ do_TQ, qkv_TX, sets, dqkv_TX }, heads);
        return [y_TQ, dqkv_TX, ...prompts.flatMap(({ dkv_KY, dgate_H }) => [dkv_KY, dgate_H])];
      },
    },
    { name: "swiglu", run: gatedUnit("swiglu") },
    { name: "geglu", run: gatedUnit("geglu") },
    { name: "geluErf", run: unit("geluErf") },
    { name: "geluQuick", run: unit("geluQuick") },
    {
      name: "head and loss",
      run(engine) {
        const [y, labels] = [engine.upload(numbers(R * D, 10)), Int32Array.from({ length: R }, (_, r) => (7 * r) % V)];
        const loss = engine.headLoss(y, map(engine, V, D, 11), labels, { R, D, cells: [{ R, scale: 1 }] });
        return [loss.nll_R, loss.dy_RD];
      },
    },
    {
      name: "rows",
      run(engine) {
        const ids = Int32Array.from({ length: T }, (_, t) => (31 * t) % V);
        const x = engine.embed(map(engine, V, D, 12), ids);
        const rows = Int32Array.from({ length: R }, (_, r) => T - R + r);
        return [x, engine.scatterRows(engine.gatherRows(x, rows, { T, D }), rows, { T, D })];
      },
    },
  ];
}
