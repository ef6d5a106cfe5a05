"""The Python at the other end: runs what each line says, and answers with a line."""

import sys

here = {}
for line in sys.stdin:
    if line == "end\n":
        break
    try:
        try:
            code = compile(line.strip(), "<test>", "eval")
        except SyntaxError:
            exec(line.strip(), here)
            answer = "done"
        else:
            answer = repr(eval(code, here))
    except BaseException as error:
        answer = f"{type(error).__name__}: {error}"
    print(answer.replace("\n", " "), flush=True)
