/** Texts in ten scripts, with all that tokenizers treat apart between their words: spaces, line ends, digits, marks, pictures. */
import { texts as oddTexts } from "../tokenizers/texts.ts";

const sentences: readonly string[] = [
  "The old keeper lit the lamp at dusk, and three ships came safely into the harbour before the storm broke.",
  "Pour une tarte aux prunes, mélangez 250 g de farine, un œuf, du sucre et une noix de beurre très froid.",
  "Größere Straßen führen über Köln; daß „schöne“ Häuser fehlen, ärgert Müller & Söhne seit 1987.",
  "Старый мост через реку построили заново, и теперь по нему ездят даже тяжёлые грузовики.",
  "Το μικρό πλοίο έφτασε στο νησί πριν από την αυγή, και οι ψαράδες τραγουδούσαν.",
  "وصلت السفينة إلى الميناء قبل الفجر، وكان الصيادون يغنون أغنية قديمة عن البحر.",
  "הספינה הקטנה הגיעה לנמל לפני עלות השחר, והדייגים שרו שיר ישן על הים.",
  "छोटा जहाज़ भोर से पहले बंदरगाह पर पहुँचा और मछुआरे समुद्र का एक पुराना गीत गा रहे थे।",
  "เรือลำเล็กมาถึงท่าเรือก่อนรุ่งสาง และชาวประมงร้องเพลงเก่าเกี่ยวกับทะเล",
  "작은 배가 새벽이 되기 전에 항구에 도착했고 어부들은 바다에 관한 옛 노래를 불렀다.",
  "小さな船は夜明け前に港に着き、漁師たちは海についての古い歌をうたっていた。ガギグゲゴ ﾊﾞﾅﾅ",
  "小船在黎明前抵达港口，渔民们唱着一首关于大海的老歌。价格是１２３元（约￥45）。",
  "def total(values):\n    return sum(v ** 2 for v in values)  # squares\n\nprint(total([1, 2, 3]))",
  'https://example.org/a?b=c&d=%20e#f <html><body class="x">1 & 2</body></html> {"k": [1.5e-3, null]}',
];

const between = [
  " ",
  " ",
  " ",
  " ",
  " ",
  "  ",
  "   ",
  "\n",
  "\n\n",
  "\t",
  "\r\n",
  "\u00a0",
  "\u3000",
  "▁",
  "",
  ", ",
  "… ",
  "\u200b",
  "\ufeff",
  "\u0085",
  "\u2028",
  "-",
  "'s ",
  " 12 ",
  "3,141.59",
  "①",
  "ﬁ",
  "½",
  "²",
  "😀",
  "👨‍👩‍👧",
  "🏽",
  "🇩🇪",
  "\u0301",
  "\u0323\u0307",
  "が",
  "か\u3099",
  "\u0000",
  "\u0007",
  "\ufffd",
  "\ue000",
  "𝔘",
  "𠀀",
  "<s>",
  "</s>",
  "<unk>",
  "<0x0A>",
  "<user>",
  "<ctl>",
  "⁇",
];

/** Small and the same everywhere: xorshift32. */
function createRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** The same texts for the same number; those that other tests of tokenizers use come first. */
export function scriptTexts(count: number): string[] {
  const random = createRandom(7);
  const words = sentences.map((sentence) => sentence.split(" "));
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  const texts = new Set([...oddTexts, ...sentences]);
  while (texts.size < count) {
    const own = pick(words);
    let text = random(6) === 0 ? pick(between) : "";
    for (let n = 1 + random(14); n > 0; n--) {
      const word = pick(random(5) === 0 ? pick(words) : own);
      text += random(8) === 0 ? word.slice(0, 1 + random(word.length)) : word;
      text += random(3) === 0 ? pick(between) : " ";
    }
    texts.add(random(2) === 0 ? text.trimEnd() : text);
  }
  return [...texts].slice(0, count).map((text) => text.replace(/\p{Surrogate}/gu, "\ufffd"));
}

/** What the models of tests are trained on: every script, so that some characters are known and some are not. */
export const corpus: readonly string[] = sentences
  .filter((_, i) => i % 5 !== 4)
  .flatMap((sentence) => sentence.split("\n"))
  .flatMap((sentence) => [sentence, sentence.toUpperCase(), ...sentence.split(/[,;،、，]/)]);
