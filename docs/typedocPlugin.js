/** A TypeDoc plugin that documents `className`, which is the same in every layer. */
import { Comment, Converter } from 'typedoc';

const className = 'The name under which TensorFlow.js saves and loads layers of this class.';

export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_context, reflection) => {
    if (reflection.name === 'className')
      reflection.comment ??= new Comment([{ kind: 'text', text: className }]);
  });
}
