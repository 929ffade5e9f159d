// From a photograph's file to the numbers that a net looks at: the same road as in Python (images/seen.py), with the
// same rounding at each step, so that the page and torch answer alike.

const longest = 2 // the most that a picture is squeezed
const large = 2 ** 25 // pixels: more than any phone's photograph in its own size
const strip = 32 // rows of the squeezed picture that are made at a time: all of a photograph would fill a phone

// How files begin, and what to say of one that the browser cannot open.
const kinds = [
  [/^$/, 'is empty: 0 bytes. Choose another one.'],
  [/^.{4}ftyp(hei|hev|mif1|msf1)/s, 'is a HEIC, which this browser cannot open. Save it as JPEG, and choose that.'],
  [/^(II\*\0|MM\0\*)/, 'is a TIFF, which this browser cannot open. Save it as JPEG, and choose that.'],
  [/^\s*(<!doctype html|<html)/i, 'is not a picture but a web page. Choose the photograph itself.'],
  [/^\s*<(\?xml|svg)/i, 'is not a photograph but an XML or SVG drawing. Save it as PNG, and choose that.'],
  [/^%PDF/, 'is not a picture but a PDF. Save the picture in it as JPEG, and choose that.'],
  [/^PK\x03\x04/, 'is not a picture but a zip archive. Unpack it, and choose a photograph.'],
  [/^(\xff\xd8\xff|\x89PNG|GIF8|RIFF.{4}WEBP|BM|.{4}ftypavi)/s,
    'is damaged, or larger than this browser can open. Save it anew, smaller, and choose that.'],
  [/^/, 'is not a picture. Choose a photograph.']
]

// The picture in a file, upright, its colours as they are stored, and whether it is a JPEG. What is none is an Error.
export async function decoded(file) {
  let head = ''
  try {
    head = String.fromCharCode(...new Uint8Array(await file.slice(0, 200).arrayBuffer()))
  } catch {
    throw new Error(`${file.name} cannot be read. Choose it again.`)
  }
  try {
    const bitmap = await createImageBitmap(file, {imageOrientation: 'from-image', colorSpaceConversion: 'none'})
    return {bitmap, jpeg: head.startsWith('\xff\xd8')}
  } catch {
    throw new Error(`${file.name} ${kinds.find(([start]) => start.test(head))[1]}`)
  }
}

// Keys' cubic (1981): the weight of a pixel at that distance.
function cubic(t) {
  t = Math.abs(t)
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1
  return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0
}

// Which of n pixels, from pixel `start`, count in each of the `wanted`: the first of them, and their weights as whole
// numbers over 2^bits, as torch's antialiased bicubic has them.
function plan(n, wanted, start = 0) {
  const scale = n / wanted
  const wide = Math.max(1, scale)
  const lines = Array.from({length: wanted}, (_, i) => {
    const centre = scale * (i + 0.5)
    const first = Math.max(0, Math.trunc(centre - 2 * wide + 0.5))
    const last = Math.min(n, Math.trunc(centre + 2 * wide + 0.5))
    const parts = Array.from({length: last - first}, (_, j) => cubic((first + j + 0.5 - centre) / wide))
    const sum = parts.reduce((a, b) => a + b, 0)
    return {first: start + first, parts: parts.map(part => part / sum)}
  })
  const most = Math.max(...lines.map(({parts}) => Math.max(...parts)))
  let bits = 0
  while (bits < 22 && Math.trunc(0.5 + most * 2 ** (bits + 1)) < 2 ** 15) bits++
  const whole = part => Math.trunc(part * 2 ** bits + 0.5 * Math.sign(part))
  return {bits, lines: lines.map(({first, parts}) => ({first, parts: Int32Array.from(parts, whole)}))}
}

// Each row of `pixels` (rows, width, 3), resampled, becomes a column of `out` (wanted, height, 3), from column `at`.
// Twice, and both sides are resampled and the picture is upright again.
function resample(pixels, width, {bits, lines}, out, height, at = 0) {
  const half = 2 ** (bits - 1)
  const rows = pixels.length / 3 / width
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < lines.length; i++) {
      const {first, parts} = lines[i]
      let from = 3 * (row * width + first)
      let r = half
      let g = half
      let b = half
      for (let j = 0; j < parts.length; j++) {
        r += parts[j] * pixels[from++]
        g += parts[j] * pixels[from++]
        b += parts[j] * pixels[from++]
      }
      const to = 3 * (i * height + at + row)
      out[to] = r >> bits // the array keeps to 0..255
      out[to + 1] = g >> bits
      out[to + 2] = b >> bits
    }
  }
  return out
}

// How many pixels become one, in each direction, before the squeeze. As PIL does: a JPEG is opened at a half, a quarter
// or an eighth of its size; of others only the very large are reduced.
function factor({width, height}, jpeg, size) {
  const short = Math.min(width, height)
  if (jpeg) return [8, 4, 2].find(f => Math.floor(short / size) >= f) ?? 1
  return width * height > large ? Math.max(1, Math.floor(short / (2 * size))) : 1
}

// The means of f x f pixels of `rgba` (height, width, 4), as (rows, columns, 3); at the edges of fewer.
function means(rgba, width, f) {
  const height = rgba.length / 4 / width
  const columns = Math.ceil(width / f)
  const out = new Uint8Array(3 * columns * Math.ceil(height / f))
  for (let y = 0, to = 0; y < height; y += f) {
    const bottom = Math.min(y + f, height)
    for (let x = 0; x < width; x += f, to += 3) {
      const right = Math.min(x + f, width)
      const n = (right - x) * (bottom - y)
      let r = n / 2 // so that the division rounds
      let g = r
      let b = r
      for (let v = y; v < bottom; v++) {
        const end = 4 * (v * width + right)
        for (let from = 4 * (v * width + x); from < end; from += 4) {
          r += rgba[from]
          g += rgba[from + 1]
          b += rgba[from + 2]
        }
      }
      out[to] = r / n
      out[to + 1] = g / n
      out[to + 2] = b / n
    }
  }
  return out
}

// Gives rows of a bitmap as rgba, on white where it is transparent, through a canvas that holds no more than those.
function reader(bitmap, most) {
  const {width} = bitmap
  const canvas = Object.assign(document.createElement('canvas'), {width, height: most})
  const brush = canvas.getContext('2d', {willReadFrequently: true})
  brush.fillStyle = '#fff'
  return (y, rows) => {
    brush.fillRect(0, 0, width, rows)
    brush.drawImage(bitmap, 0, y, width, rows, 0, 0, width, rows)
    return brush.getImageData(0, 0, width, rows).data
  }
}

// The picture squeezed into a square: (size, size, 3). Of one that is very long, the middle.
function square({bitmap, jpeg}, size) {
  const f = factor(bitmap, jpeg, size)
  const width = Math.ceil(bitmap.width / f)
  const height = Math.ceil(bitmap.height / f)
  const left = Math.max(0, Math.floor((width - longest * height) / 2))
  const top = Math.max(0, Math.floor((height - longest * width) / 2))
  const tall = height - 2 * top
  const across = plan(width - 2 * left, size, left)
  const read = reader(bitmap, strip * f)
  const narrow = new Uint8ClampedArray(3 * size * tall)
  for (let y = top; y < top + tall; y += strip) {
    const rows = Math.min(strip, top + tall - y)
    const rgba = read(y * f, Math.min(rows * f, bitmap.height - y * f))
    resample(means(rgba, bitmap.width, f), width, across, narrow, tall, y - top)
  }
  return resample(narrow, tall, plan(tall, size), new Uint8ClampedArray(3 * size * size), size)
}

// As Python rounds: a half to the even neighbour.
function even(v) {
  const near = Math.round(v)
  return v % 1 === 0.5 && near % 2 ? near - 1 : near
}

// The middle of the picture as the net looks at it: float (3, size, size), normalised.
export function seen(picture, {size, mean, std}) {
  const kept = 8 * Math.ceil((size * 7) / 40) // a little more than the view, so that training could zoom in
  const {width, height} = picture.bitmap
  const aspect = Math.fround(Math.min(Math.max(width / height, 1 / longest), longest))
  const part = [Math.fround(Math.min(1, 1 / aspect)), Math.min(1, aspect)] // across and down
  const [w, h] = part.map(v => even(v * kept))
  const [left, top] = part.map(v => even((Math.fround(1 - v) / 2) * kept))
  const rows = square(picture, kept).subarray(3 * top * kept, 3 * (top + h) * kept)
  const narrow = resample(rows, kept, plan(w, size, left), new Uint8ClampedArray(3 * size * h), h)
  const pixels = resample(narrow, h, plan(h, size), new Uint8ClampedArray(3 * size * size), size)
  return Float32Array.from({length: pixels.length}, (_, i) => {
    const c = Math.floor(i / (size * size))
    return (pixels[3 * (i % (size * size)) + c] / 255 - mean[c]) / std[c]
  })
}
