// A picture and masks on it: a slider, or the pointer on the picture, wipes the mask away.

function render({model, el}) {
  const {names, pictures, layers, legend} = model.get('data')
  const who = layers.map(layer => layer.name)
  const now = () => ({cut: model.get('cut'), place: model.get('place'), layer: model.get('layer')})
  const tell = exchange(model, ['cut', 'place', 'layer'], () => seen, heard)
  let seen = now()

  const base = make('img', {class: 'cm-base', alt: '', draggable: 'false'})
  const top = make('img', {class: 'cm-top', alt: '', draggable: 'false'})
  const edge = make('div', {class: 'cm-edge'})
  const stage = make('div', {class: 'cm-stage', role: 'img', pointerdown: wipe, pointermove: wipe}, base, top, edge)
  const slider = track({
    min: 0,
    max: 100,
    step: 1,
    'aria-label': 'how much of the picture the mask covers, in percent',
    input: () => change({cut: +slider.value})
  })
  const row = make('div', {class: 'cm-row'}, make('span', {}, 'picture'), slider, make('span', {}, 'mask'))
  const pick = (label, options, name) => {
    const box = make(
      'select',
      {'aria-label': label, 'data-lm-suppress-shortcuts': 'true', change: () => change({[name]: box.selectedIndex})},
      ...options.map(text => make('option', {}, text))
    )
    return box
  }
  const photo = pick('picture', names, 'place')
  const layer = pick('mask', who, 'layer')
  const swatch = ([name, colour, stripes]) =>
    make('span', {}, make('i', {style: `background:${stripes || colour}`, 'aria-hidden': 'true'}), name)
  const {say} = shell(
    el,
    make('div', {class: 'ch-bar'}, photo, layer),
    stage,
    row,
    make('div', {class: 'cm-names'}, ...legend.map(swatch))
  )

  function wipe(e) {
    if (e.type === 'pointermove' && !e.buttons) return
    const {left, width} = stage.getBoundingClientRect()
    change({cut: Math.round(clamp((100 * (e.clientX - left)) / width, 0, 100))})
  }
  function change(what) {
    Object.assign(seen, what)
    show('cut' in what)
    tell()
  }
  function heard() {
    seen = now()
    show()
  }
  function show(quiet) {
    const {cut, place} = seen
    const {masks, said} = layers[seen.layer]
    set(base, {src: pictures[place]})
    set(top, {src: masks[place], style: `clip-path: inset(0 ${100 - cut}% 0 0)`})
    set(edge, {style: `left: calc(${cut}% - 1px)`})
    set(stage, {'aria-label': `${names[place]}, mask ${who[seen.layer]}: ${said[place]}`})
    set(slider, {'aria-valuetext': `${cut} percent mask`})
    slider.value = cut
    photo.selectedIndex = place
    layer.selectedIndex = seen.layer
    if (!quiet) say(said[place])
  }
  show()
  return () => tell.end()
}
export default {render}
