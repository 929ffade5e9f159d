// A photograph in, its label out. All of it is computed on this device; only files beside this page are fetched.
import {decoded, seen} from './look.js'

const facts = JSON.parse(document.getElementById('facts').textContent)
const ids = ['zone', 'said', 'found', 'photo', 'bars']
const [zone, said, found, photo, bars] = ids.map(id => document.getElementById(id))
const likeliest = 3 // labels that are told
const most = 50e6 // bytes of a photograph's file
const shown = 480 // pixels of the longer side that is shown
let asked = 0

function say(text, kind = '') {
  said.textContent = text
  said.className = kind
}

// The bytes of a file beside this page. What does not come whole is an Error.
async function beside(name) {
  const {bytes, sha256} = facts.files[name]
  let data
  try {
    const reply = await fetch(`${name}?${sha256.slice(0, 12)}`) // a file that changed has another address
    if (!reply.ok) throw new Error(`the server says ${reply.status}`)
    data = await reply.arrayBuffer()
  } catch (e) {
    throw new Error(`${name} did not load (${e.message}). Are you online? Then load the page again.`)
  }
  if (data.byteLength !== bytes)
    throw new Error(`${name} has ${data.byteLength} bytes where ${bytes} belong: this page must be written anew.`)
  return new Uint8Array(data)
}

// The net, as a function from the numbers of a picture to its scores.
async function load() {
  if (!globalThis.WebAssembly) throw new Error('The net needs WebAssembly, which is missing or off in this browser.')
  const [ort, binary, model] = await Promise.all([
    import('./onnxruntime.js').catch(() => {
      throw new Error('onnxruntime.js did not load. Are you online? Then load the page again.')
    }),
    beside('onnxruntime.wasm'),
    beside('model.onnx')
  ])
  ort.env.wasm.wasmBinary = binary
  ort.env.wasm.numThreads = 1 // more would need headers that few hosts send
  try {
    const session = await ort.InferenceSession.create(model)
    return async numbers => {
      const input = new ort.Tensor('float32', numbers, [1, 3, facts.size, facts.size])
      const output = await session.run({[session.inputNames[0]]: input})
      return output[session.outputNames[0]].data
    }
  } catch (e) {
    throw new Error(`The net cannot run in this browser (${e.message}). Try a newer one.`)
  }
}

// [label, probability] of all labels, the likeliest first.
function parts(scores) {
  const top = Math.max(...scores)
  const powers = Array.from(scores, score => Math.exp((score - top) / facts.temperature))
  const sum = powers.reduce((a, b) => a + b)
  return powers.map((power, i) => [facts.vocab[i], power / sum]).sort((a, b) => b[1] - a[1])
}

function percent(part) {
  return `${(100 * part).toFixed(part > 0.0995 ? 0 : 1)}%`
}

function span(className, textContent = '') {
  return Object.assign(document.createElement('span'), {className, textContent})
}

function bar([label, part]) {
  const item = document.createElement('li')
  const track = span('track')
  track.append(span('filled'))
  track.firstChild.style.width = `${100 * part}%`
  item.append(span('label', label), span('part', percent(part)), track)
  return item
}

function draw(bitmap, name) {
  const scale = Math.min(1, shown / Math.max(bitmap.width, bitmap.height))
  photo.width = Math.max(1, Math.round(bitmap.width * scale))
  photo.height = Math.max(1, Math.round(bitmap.height * scale))
  const brush = photo.getContext('2d')
  brush.imageSmoothingQuality = 'high'
  brush.drawImage(bitmap, 0, 0, photo.width, photo.height)
  photo.setAttribute('aria-label', name)
  bars.replaceChildren()
  found.hidden = false
}

function tell(answer) {
  const [label, part] = answer[0]
  bars.replaceChildren(...answer.slice(0, likeliest).map(bar))
  if (part > facts.threshold) say(`${label}, ${percent(part)}`, 'answer')
  else say(`I am not sure. The likeliest: ${label}, ${percent(part)}.`, 'answer')
}

// The answer for a file; nothing where another one was chosen meanwhile.
async function look(file, last) {
  if (file.size > most) throw new Error(`${file.name} is larger than ${most / 1e6} MB. Choose a smaller one.`)
  const picture = await decoded(file)
  try {
    if (!last()) return
    draw(picture.bitmap, file.name)
    const scores = await net
    await new Promise(done => setTimeout(done, 30)) // so that the photograph is seen first
    return parts(await scores(seen(picture, facts)))
  } finally {
    picture.bitmap.close()
  }
}

async function take(file) {
  if (!file) return
  const mine = ++asked
  const last = () => mine === asked
  say(`Looking at ${file.name} …`)
  try {
    const answer = await look(file, last)
    if (last()) tell(answer)
  } catch (e) {
    if (!last()) return
    found.hidden = true
    say(e.message, 'loud')
  }
}

for (const input of document.querySelectorAll('input')) {
  input.addEventListener('change', () => {
    take(input.files[0])
    input.value = '' // so that the same file can be chosen again
  })
}
addEventListener('paste', e => take(e.clipboardData.files[0]))
addEventListener('dragover', e => {
  e.preventDefault()
  zone.classList.add('over')
})
addEventListener('dragleave', () => zone.classList.remove('over'))
addEventListener('drop', e => {
  e.preventDefault()
  zone.classList.remove('over')
  take(e.dataTransfer.files[0])
})

const bytes = Object.values(facts.files).reduce((sum, file) => sum + file.bytes, 0)
say(`Loading the net, ${Math.round(bytes / 1e6)} MB the first time …`)
const net = load()
net.then(
  () => asked || say('Ready.'),
  e => asked || say(e.message, 'loud')
)
