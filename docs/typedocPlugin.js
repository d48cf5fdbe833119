/** Explains what all layers have in common, for TypeDoc: it would want the same comment in each of them. */
import { Comment, Converter } from 'typedoc';

const className = 'The name under which TensorFlow.js saves and loads layers of this class.';

export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_context, reflection) => {
    if (reflection.name === 'className')
      reflection.comment ??= new Comment([{ kind: 'text', text: className }]);
  });
}
