// Your own photograph: chosen, dropped or pasted, made smaller here, named in Python.

const side = 640 // pixels of the longer side that is sent: more than any of our nets looks at
const most = 6e6 // bytes of a file that this browser cannot open; Python may

function drawn(bitmap) {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height))
  const canvas = make('canvas', {})
  canvas.width = Math.max(1, Math.round(bitmap.width * scale))
  canvas.height = Math.max(1, Math.round(bitmap.height * scale))
  const brush = canvas.getContext('2d')
  brush.fillStyle = '#fff' // behind what is transparent
  brush.fillRect(0, 0, canvas.width, canvas.height)
  brush.imageSmoothingQuality = 'high'
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
  bitmap.close()
  return canvas.toDataURL('image/jpeg', 0.92)
}
function asItIs(file) {
  return new Promise((done, failed) => {
    const reader = new FileReader()
    reader.onload = () => done(reader.result)
    reader.onerror = () => failed(reader.error)
    reader.readAsDataURL(file)
  })
}
// The photograph as text that Python can take: small, upright; a kind that is unknown here goes as it is.
async function packed(file) {
  try {
    return drawn(await createImageBitmap(file, {imageOrientation: 'from-image'}))
  } catch {
    if (file.size <= most) return asItIs(file)
    throw new Error(`${file.name} cannot be opened in this browser. Save it as JPEG, and choose that.`)
  }
}

function render({model, el}) {
  const live = !!model.send // a page without a kernel has no net
  let asked = 0
  const input = make('input', {
    type: 'file',
    accept: 'image/*,.heic,.heif,.avif',
    disabled: live ? null : '',
    change: () => take(input.files[0])
  })
  const choose = make('label', {class: 'cp-choose'}, 'Choose a photograph', input)
  const img = make('img', {class: 'cp-photo', alt: ''})
  const bars = make('div', {class: 'cp-bars'})
  const zone = make(
    'div',
    {class: 'cp-zone', dragover: over, dragleave: () => zone.classList.remove('over'), drop},
    make('div', {class: 'ch-bar'}, choose, make('span', {}, 'or drop one here, or paste it')),
    make('div', {class: 'cp-found'}, img, bars)
  )
  const {say} = shell(el, zone)
  zone.addEventListener('paste', e => take(e.clipboardData.files[0]))

  function over(e) {
    e.preventDefault()
    e.stopPropagation()
    zone.classList.add('over')
  }
  function drop(e) {
    over(e)
    zone.classList.remove('over')
    take(e.dataTransfer.files[0])
  }
  async function take(file) {
    input.value = '' // so that the same file can be chosen again
    if (!file || !live) return
    const mine = ++asked
    say(`Looking at ${file.name} …`)
    try {
      const data = await packed(file)
      if (mine !== asked) return // another one was chosen meanwhile
      model.set('sent', {name: file.name, data, turn: mine})
      model.save_changes()
    } catch (e) {
      say(e.message, true)
    }
  }
  function bar([label, part]) {
    const percent = `${(100 * part).toFixed(part > 0.0995 ? 0 : 1)} %`
    return make(
      'div',
      {class: 'cp-bar'},
      make('span', {class: 'cp-label'}, label),
      make('span', {class: 'cp-track', 'aria-hidden': 'true'}, make('i', {style: `width:${100 * part}%`})),
      make('span', {class: 'cp-part'}, percent)
    )
  }
  function show() {
    const {url = '', name = '', found = [], said = ''} = model.get('shown')
    img.toggleAttribute('hidden', !url)
    if (url) set(img, {src: url, alt: name})
    bars.replaceChildren(...found.map(bar))
    if (said) say(said, said.startsWith('!'))
  }
  model.on('change:shown', show)
  show()
  if (!live) say('To try a photograph of your own, run the cell: this page has no kernel, so no net.')
  return () => model.off('change:shown', show)
}
export default {render}
