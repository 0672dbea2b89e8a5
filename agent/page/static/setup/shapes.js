// Rectangles and polygons in pixels of an image: what a drawing is made of. No elements here.

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// The rectangle between two points, whole pixels within the image.
export function rectangleOf([x1, y1], [x2, y2], { width, height }) {
  const [left, right] = [x1, x2].map((x) => Math.round(clamp(x, 0, width))).sort((a, b) => a - b);
  const [top, bottom] = [y1, y2].map((y) => Math.round(clamp(y, 0, height))).sort((a, b) => a - b);
  return { x: left, y: top, width: right - left, height: bottom - top };
}

export function cornersOf({ x, y, width, height }) {
  return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]];
}

export function moveRectangle(rectangle, dx, dy, { width, height }) {
  return {
    ...rectangle,
    x: Math.round(clamp(rectangle.x + dx, 0, width - rectangle.width)),
    y: Math.round(clamp(rectangle.y + dy, 0, height - rectangle.height)),
  };
}

export function movePolygon(polygon, dx, dy, { width, height }) {
  const [xs, ys] = [polygon.map(([x]) => x), polygon.map(([, y]) => y)];
  const [stepX, stepY] = [
    clamp(dx, -Math.min(...xs), width - Math.max(...xs)), clamp(dy, -Math.min(...ys), height - Math.max(...ys)),
  ];
  return polygon.map(([x, y]) => [Math.round(x + stepX), Math.round(y + stepY)]);
}

// The mean of the corners.
export const middleOf = (polygon) => [0, 1].map((axis) => polygon.reduce((sum, corner) => sum + corner[axis], 0) / polygon.length);

export function isInside([x, y], polygon) {
  let inside = false;
  for (let index = 0, before = polygon.length - 1; index < polygon.length; before = index, index += 1) {
    const [[x1, y1], [x2, y2]] = [polygon[index], polygon[before]];
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
}

export const distance = ([x1, y1], [x2, y2]) => Math.hypot(x1 - x2, y1 - y2);

export const same = (one, other) => JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
