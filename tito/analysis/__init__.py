"""What a model costs: parameters, multiply-accumulates, bytes. Pure: no terminal, no numpy, no tinytorch.

expr       a sum of products: the arithmetic that is counted and the arithmetic that is shown are one
shapes     shapes without the batch, as text and back
spec       the language of model specifications, parsed to a tree
layers     one word of that language, as a typed layer
walk       carries the shape through the tree and writes down one row a layer
rules      what each kind of layer costs, given the shape it meets
cost       rows added up: FLOPs, training, memory
presets    well-known models, written in the same language
"""
