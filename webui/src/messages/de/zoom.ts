export default {
  view: 'Ansicht',
  zoomIn: 'Näher heran',
  zoomOut: 'Weiter weg',
  fit: 'Einpassen',
  actual: 'Originalgröße',
}
