import { expect, test } from "vitest";
import { adapterSettings, declaredSettings, isPeft, settingKeys, settingsMetadata, settingsOf } from "./settings.ts";

const peft = settingsOf({});

test("settings are picked from anything that has them, those of PEFT if it has none", () => {
  expect(peft).toMatchObject({ gateSharing: "scalar", gateActivation: "none" });
  const config = { seed: 3, gateActivation: "tanh", gateSharing: undefined } as const;
  expect(settingsOf(config)).toEqual({ ...peft, gateActivation: "tanh" });
});

test("PEFT has the first value of every setting and no other", () => {
  expect(isPeft(peft)).toBe(true);
  for (const [name, { values }] of Object.entries(adapterSettings)) {
    for (const value of values.slice(1)) expect(isPeft({ ...peft, [name]: value }), `${name} ${value}`).toBe(false);
  }
});

test("a file says what it was trained with, whatever the combination", () => {
  for (const gateSharing of adapterSettings.gateSharing.values) {
    for (const gateActivation of adapterSettings.gateActivation.values) {
      const settings = { ...peft, gateSharing, gateActivation };
      const metadata = settingsMetadata(settings);
      expect(Object.keys(metadata).every((key) => settingKeys.includes(key))).toBe(true);
      expect(declaredSettings(new Map(Object.entries(metadata)), "x")).toEqual(settings);
    }
  }
  expect(declaredSettings(new Map(), "x")).toEqual(peft);
});

test("unknown values are all named", () => {
  const metadata = new Map([
    ["zerogate.gate_sharing", "per-layer"],
    ["zerogate.gate_activation", "sigmoid"],
  ]);
  expect(() => declaredSettings(metadata, "x")).toThrow(
    /zerogate.gate_sharing is "per-layer", known are scalar and per-head\n.*zerogate.gate_activation is "sigmoid"/,
  );
});
