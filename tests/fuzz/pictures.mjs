/** Small images of every format that is decoded, made by sharp. */
import sharp from "sharp";

/** Bytes that a generator gives, in runs, so that all encoders find something to do. */
function noise(length) {
  let state = 7;
  return Uint8Array.from({ length }, (_, i) => {
    if (i % 5 === 0) state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

const image = (channels, pageHeight) =>
  sharp(noise(24 * 18 * channels), { raw: { width: 24, height: 18, channels, ...(pageHeight && { pageHeight }) } });

/** Files in an order that stays the same. */
export function pictures() {
  return Promise.all(
    [
      image(3).jpeg(),
      image(3).jpeg({ progressive: true, chromaSubsampling: "4:4:4" }).withMetadata({ orientation: 6 }),
      image(3).png(),
      image(4).png({ progressive: true }),
      image(3).png({ palette: true, colours: 16 }),
      image(3).toColourspace("rgb16").png(),
      image(1).toColourspace("b-w").png(),
      image(3).webp(),
      image(4).webp({ lossless: true }),
      image(3, 9).gif(),
      image(3).tiff({ compression: "lzw" }),
      image(3).tiff({ compression: "none" }),
      image(3).avif({ effort: 0 }),
    ].map((one) => one.toBuffer()),
  );
}
